import { isLogin, parseNewLogin } from './login.js';

const reserved = new Set(['api', 'conda']);

describe('a login', () => {
  it.each([
    ['alice', 'alice'],
    ['  Alice ', 'alice'],
    ['a1', 'a1'],
    ['0x', '0x'],
    ['a_b-c', 'a_b-c'],
    ['admin', 'admin'],
    [`a${'b'.repeat(62)}`, `a${'b'.repeat(62)}`],
  ])('takes %j as %j', (text, login) => {
    expect(parseNewLogin(text, reserved)).toBe(login);
    expect(isLogin(login)).toBe(true);
  });

  it.each(['', 'a', '-a', '_a', 'a.b', 'a/b', 'a b', 'é1', 'İstanbul', 'a\u0000b', `a${'b'.repeat(63)}`, '..'])(
    'refuses %j',
    (text) => {
      expect(() => parseNewLogin(text, reserved)).toThrow(/is no login/);
    },
  );

  it('does not know a login with a line break after it', () => {
    expect(isLogin('alice\n')).toBe(false);
  });

  it.each(['api', 'API', 'conda'])('refuses the reserved word %j', (text) => {
    expect(() => parseNewLogin(text, reserved)).toThrow(/choose another/);
  });
});
