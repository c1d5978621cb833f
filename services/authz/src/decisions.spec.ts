import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { audienceOf, type Grant } from '@vivarium/access/audience';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { RunningAuthz } from './authz.fixture.js';

jest.setTimeout(120_000);

let authz: RunningAuthz;
let people: Record<'ann' | 'bob' | 'dan' | 'eve', Caller>;

beforeAll(async () => {
  authz = await RunningAuthz.start();
  people = { ann: authz.user('ann'), bob: authz.user('bob'), dan: authz.user('dan'), eve: authz.user('eve') };
  authz.accounts.set('acme', { id: 'id-acme', login: 'acme', kind: 'organization', name: '' });
  authz.accounts.set('closed', { id: 'id-closed', login: 'closed', kind: 'organization', name: '' });
  authz.hidden.add('closed');
  await authz.addOrganization('id-acme', 'id-ann');
  await authz.addOrganization('id-closed', 'id-ann');
  const devs = await authz.addGroup('id-acme', { name: 'devs', permission: 'write', allPackages: false });
  const keepers = await authz.addGroup('id-acme', { name: 'keepers', permission: 'admin', allPackages: false });
  await authz.addMember(devs, 'id-bob');
  await authz.addMember(keepers, 'id-dan');
  const grants: Grant[] = [
    { kind: 'group', id: devs, permission: 'write' },
    { kind: 'group', id: keepers, permission: 'admin' },
  ];
  authz.facts.set('id-acme secret', { visibility: 'private', grants, names: ['secret'] });
  authz.facts.set('id-acme tools', { visibility: 'public', grants: [], names: ['tools'] });
  authz.facts.set('id-acme vault', { visibility: 'private', grants: [], names: ['vault'] });
  authz.audiences.set('acme', [...authz.facts.values()].map(audienceOf));
  authz.tokens.set('id-bob ci', { scopes: ['repos'], refusal: '' });
  authz.tokens.set('id-bob old', { scopes: ['all'], refusal: 'this token expired on 2026-01-01' });
  const cidrs = create(RestrictionsSchema, { cidrs: ['192.0.2.0/24'] });
  authz.tokens.set('id-bob office', { scopes: ['all'], refusal: '', restrictions: cidrs });
});
afterAll(() => authz.stop());

/** `acme/secret` or `acme`, asked by somebody; `yes: reason`, `no: reason`, or the code of a refusal. */
async function asked(by: Caller | undefined, question: string, more: Record<string, string> = {}): Promise<string> {
  const [as = '', verb = '', resource = ''] = question.split(' ');
  const [channel = '', name = ''] = resource.split('/');
  const request = { as: as === 'I' ? '' : as, verb, channel, package: name, ...more };
  const { decisions } = await authz.as(by);
  return decisions.explain(request).then(
    ({ allow, reason }) => `${allow ? 'yes' : 'no'}: ${reason}`,
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
  );
}

describe('why somebody may or may not', () => {
  it.each([
    ['bob read acme/secret', 'yes: bob reads acme/secret through group devs'],
    ['bob write acme/secret', 'yes: bob writes acme/secret through group devs'],
    ['bob admin acme/secret', 'no: bob may not administer acme/secret: through group devs, bob has write only'],
    ['eve read acme/secret', 'no: eve may not read acme/secret: not an owner, in no group'],
    ['anonymous read acme/secret', 'no: an anonymous caller may not read acme/secret: sign in'],
    ['anonymous read acme/tools', 'yes: acme/tools is public'],
    ['dan create acme/new', 'no: dan may not create acme/new: not an owner, nor in a group that may'],
    ['ann create acme/new', 'yes: ann creates acme/new as an owner'],
    ['ann create acme', 'yes: ann creates packages in acme as an owner'],
    ['bob write acme', 'yes: bob writes acme through group devs'],
    ['bob own acme', 'no: bob may not own acme'],
    ['ann own acme', 'yes: ann owns acme as an owner'],
    ['ann read acme/nothing', 'no: package "acme/nothing" does not exist'],
    ['bob read closed', 'no: channel "closed" does not exist, or bob may not read it'],
    ['acme read acme/vault', 'yes: acme (an organization) reads acme/vault as an owner'],
  ])('is told to owners: %s', async (question, answer) => {
    expect(await asked(people.ann, question)).toContain(answer);
  });

  it.each([
    ['ci', 'write', 'no: bob may write acme/secret through group devs, but the token ci lacks the scope api:write'],
    ['ci', 'read', 'yes: bob reads acme/secret through group devs, through conda'],
    ['old', 'read', 'no: the token old of bob does not count: this token expired on 2026-01-01'],
    ['office', 'write', 'yes: bob writes acme/secret through group devs'],
    ['none', 'read', 'not_found: bob has no token named "none".'],
  ])('minds the token %s to %s', async (token, verb, answer) => {
    expect(await asked(people.ann, `bob ${verb} acme/secret`, { token })).toBe(answer);
  });

  it('minds the way in, the label and the address where they are said', async () => {
    const at = (more: Record<string, string>) =>
      asked(people.ann, 'bob read acme/secret', { token: 'office', ...more });
    expect(await at({ address: '192.0.2.7' })).toContain('yes: ');
    expect(await at({ address: '198.51.100.7' })).toContain('no: the token office may not be used from 198.51.100.7');
    const ci = (via: string) => asked(people.ann, 'bob read acme/secret', { token: 'ci', via });
    expect(await ci('api')).toContain('lacks the scope api:read');
    expect(await ci('pypi')).toContain('yes: ');
  });

  it('is told to those who administer the package, about that package', async () => {
    expect(await asked(people.dan, 'bob read acme/secret')).toBe('yes: bob reads acme/secret through group devs');
    expect(await asked(people.dan, 'bob read acme/vault')).toBe('not_found: package "acme/vault" does not exist');
    expect(await asked(people.dan, 'bob read acme/nothing')).toBe('not_found: package "acme/nothing" does not exist');
    expect(await asked(people.dan, 'bob read acme')).toContain('forbidden: Only the owners of acme');
  });

  it('is not told to others', async () => {
    expect(await asked(people.bob, 'eve read acme/secret')).toContain(
      'forbidden: Only those who administer acme/secret',
    );
    expect(await asked(people.eve, 'bob read acme/tools')).toContain('forbidden: Only those who administer acme/tools');
    const root = authz.user('root', { superuser: true });
    for (const by of [people.eve, root]) {
      const answers = ['acme/secret', 'acme/nothing', 'closed/thing', 'nowhere/thing'].map(async (resource) =>
        (await asked(by, `bob read ${resource}`)).replace(resource, 'it'),
      );
      expect(new Set(await Promise.all(answers))).toEqual(new Set(['not_found: package "it" does not exist']));
      // Nor whether there is such an account.
      expect(await asked(by, 'nobody read acme/secret')).toBe('not_found: package "acme/secret" does not exist');
      expect(await asked(by, 'bob read closed')).toBe('not_found: channel "closed" does not exist');
      expect(await asked(by, 'bob read nowhere')).toBe('not_found: channel "nowhere" does not exist');
    }
    expect(await asked(undefined, 'bob read acme/tools')).toContain('unauthenticated: ');
  });

  it('is told to everybody about themselves, where what is hidden is missing', async () => {
    for (const as of ['bob', 'I']) {
      expect(await asked(people.bob, `${as} write acme/secret`)).toBe('yes: bob writes acme/secret through group devs');
      expect(await asked(people.bob, `${as} create acme/vault`)).toBe(
        (await asked(people.bob, `${as} create acme/nothing`)).replace('nothing', 'vault'),
      );
    }
    for (const verb of ['read', 'write', 'admin', 'own']) {
      const about = async (resource: string) =>
        (await asked(people.eve, `eve ${verb} ${resource}`)).replace(resource, 'it');
      expect(await about('acme/vault')).toBe(await about('acme/nothing'));
      expect(await about('closed')).toBe(await about('nowhere'));
      expect(await about('closed/vault')).toBe((await about('nowhere/vault')).replace('nowhere', 'closed'));
    }
    expect(await asked(people.eve, 'I read acme/tools')).toContain('yes: acme/tools is public');
  });

  it('is what the token may do that asks, and no more', async () => {
    const token = authz.token(people.bob, { scopes: ['conda:upload'] });
    expect(await asked(token, 'I write acme/secret')).toBe(
      'yes: bob writes acme/secret through group devs, through upload:conda',
    );
    expect(await asked(token, 'I write acme/secret', { via: 'api' })).toContain('lacks the scope api:write');
    expect(await asked(token, 'bob write acme/secret')).toContain('forbidden: This token lacks the scope api:read');
    const narrow = authz.token(people.bob, { restrictions: { packages: ['tools'] } });
    expect(await asked(narrow, 'I read acme/secret')).toBe('no: package "acme/secret" does not exist');
    expect(await asked(narrow, 'bob read acme/secret')).toBe('no: package "acme/secret" does not exist');
  });

  it.each([
    ['bob eat acme/secret', {}, 'invalid: "eat" is no verb: use create, read, write, admin, own.'],
    ['bob read acme/secret', { via: 'door' }, 'invalid: "door" is no way in: use conda, pypi, api'],
    ['nobody read acme/secret', {}, 'not_found: There is no account "nobody".'],
  ])('is no question: %s', async (question, more, answer) => {
    expect(await asked(people.ann, question, more)).toContain(answer);
  });

  it('is told to the command line about anybody, and to no other service', async () => {
    const { decisions } = await authz.asService('platform');
    const question = { verb: 'read', channel: 'acme', package: 'vault' };
    expect(await decisions.explain({ ...question, as: 'eve' })).toMatchObject({ allow: false });
    expect(await decisions.explain({ ...question, as: 'ann' })).toMatchObject({ allow: true });
    await expect(decisions.explain(question)).rejects.toMatchObject({ code: 'invalid' });
    const other = (await authz.asService('packages')).decisions.explain({ ...question, as: 'ann' });
    await expect(other).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
