import { parseEmail, parsePersonName } from './person.js';

describe('a person', () => {
  it.each([
    ['Alice@Example.ORG', 'alice@example.org'],
    [' root@localhost ', 'root@localhost'],
    ["o'brien+ci@example.org", "o'brien+ci@example.org"],
  ])('takes the address %j as %j', (text, email) => {
    expect(parseEmail(text)).toBe(email);
  });

  it.each(['', 'alice', '@example.org', 'alice@', 'a@b@c', 'a b@c', 'a\n@c', 'a\u0000@c', `${'a'.repeat(65)}@c`])(
    'refuses the address %j',
    (text) => {
      expect(() => parseEmail(text)).toThrow(/no e-mail address/);
    },
  );

  it('refuses a name with a line break or without an end', () => {
    expect(parsePersonName(' Ada Lovelace ')).toBe('Ada Lovelace');
    expect(() => parsePersonName('Ada\nLovelace')).toThrow(/line breaks/);
    expect(() => parsePersonName('a'.repeat(201))).toThrow(/200/);
  });
});
