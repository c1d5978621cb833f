import { jest } from '@jest/globals';
import { Invitations, SignUps } from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, type Credential, RunningIdentity } from './identity.fixture.js';
import type { SignUpPolicy } from './ports.js';

jest.setTimeout(120_000);

const DAY = 86_400_000;

async function start(signUp: SignUpPolicy): Promise<RunningIdentity> {
  const identity = await RunningIdentity.start({ signUp });
  const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
  await ensureFirstAdmin(identity.database.db, rules, ADMIN);
  return identity;
}

async function signUpsOf(identity: RunningIdentity) {
  const assertion = await identity.trustOf('gateway').assertionFor('identity');
  return clientOf(SignUps, identity.bus, { assertion, timeoutMs: 10_000 });
}

const EVE = { login: 'Eve', password: 'the password of eve', email: 'Eve@example.org', address: '192.0.2.1' };

describe.each(['closed', 'open'] as const)('signing up where that is %s', (policy) => {
  let identity: RunningIdentity;
  beforeAll(async () => {
    identity = await start(policy);
  });
  afterAll(() => identity.stop());

  it('is told to the gateway, and to nobody else', async () => {
    expect(await (await signUpsOf(identity)).policy({})).toMatchObject({ policy });
    await expect(clientOf(SignUps, identity.bus).policy({})).rejects.toMatchObject({ code: 'forbidden' });
    await expect(clientOf(SignUps, identity.bus).signUp(EVE)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it(policy === 'closed' ? 'makes nobody' : 'makes a user without rights over others', async () => {
    const made = (await signUpsOf(identity)).signUp(EVE);
    if (policy === 'closed') {
      await expect(made).rejects.toThrow('ask an administrator');
      expect(await identity.database.db.account.count()).toBe(1);
      return;
    }
    const { account } = await made;
    expect(account).toMatchObject({ login: 'eve', email: 'eve@example.org', superuser: false, disabled: false });
    expect((await identity.whoIs({ login: 'eve', password: EVE.password })).caller?.login).toBe('eve');
    const { rows } = await identity.database.pool.query("SELECT * FROM audit WHERE action = 'user.create'");
    expect(rows.at(-1)).toMatchObject({ actor: 'eve', address: '192.0.2.1', after: { signedUp: 'openly' } });
  });

  if (policy === 'open') {
    it.each([
      ['a login in use', { login: 'admin' }, 'conflict'],
      ['an e-mail address in use', { login: 'eve2', email: 'eve@example.org' }, 'conflict'],
      ['a reserved login', { login: 'conda' }, 'invalid'],
      ['a look-alike', { login: 'аdmin' }, 'invalid'],
      ['a short password', { login: 'eve3', email: '', password: 'short' }, 'invalid'],
      ['no e-mail address', { login: 'eve3', email: 'eve' }, 'invalid'],
    ])('does not take %s', async (_, wrong, code) => {
      const before = await identity.database.db.account.count();
      await expect((await signUpsOf(identity)).signUp({ ...EVE, ...wrong })).rejects.toMatchObject({ code });
      expect(await identity.database.db.account.count()).toBe(before);
    });

    it('does not tell whose the login or the e-mail address is', async () => {
      const signUps = await signUpsOf(identity);
      const messages = await Promise.all(
        [{ login: 'admin' }, { login: 'eve2', email: 'eve@example.org' }].map((wrong) =>
          signUps.signUp({ ...EVE, ...wrong }).catch((error) => error.message),
        ),
      );
      expect(new Set(messages).size).toBe(1);
    });
  }
});

describe('signing up by invitation', () => {
  let identity: RunningIdentity;
  let olga: { login: string; password: string; id: string };
  let number = 0;
  beforeAll(async () => {
    identity = await start('invitation');
    olga = await identity.createUser('olga');
    const acme = { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() };
    await identity.database.db.account.create({ data: acme });
  });
  beforeEach(() => {
    identity.owners.add(`org-acme ${olga.id}`);
  });
  afterEach(() => {
    identity.aheadMs = 0;
  });
  afterAll(() => identity.stop());

  const invitationsAs = async (credential: Credential) => {
    const { assertion } = await identity.as(credential);
    return clientOf(Invitations, identity.bus, { assertion, timeoutMs: 10_000 });
  };
  const invite = async (request: object = {}, by: Credential = ADMIN) => (await invitationsAs(by)).create(request);
  const signUp = async (invitation: string, more: object = {}) => {
    number++;
    const user = { login: `guest${number}`, password: 'the password of a guest', invitation, ...more };
    return (await signUpsOf(identity)).signUp(user);
  };

  it('takes one person for one invitation, however many try at once', async () => {
    const { secret } = await invite();
    expect(secret).toMatch(/^vii-[a-z0-9]{32}$/);
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => signUp(secret)));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const each of tries) if (each.status === 'rejected') expect(each.reason.code).toBe('forbidden');
    const { rows } = await identity.database.pool.query('SELECT i::text AS row FROM invitations i');
    expect(JSON.stringify(rows)).not.toContain(secret.slice(4));
  });

  it('keeps an invitation for whom something else was wrong', async () => {
    const { secret } = await invite();
    await expect(signUp(secret, { login: 'admin' })).rejects.toMatchObject({ code: 'conflict' });
    await expect(signUp(secret, { password: 'short' })).rejects.toMatchObject({ code: 'invalid' });
    expect((await signUp(secret)).account?.login).toBe(`guest${number}`);
  });

  it('takes nobody by none, an unknown, an expired or a revoked one, or one for another e-mail address', async () => {
    for (const secret of ['', 'vii-x']) await expect(signUp(secret)).rejects.toMatchObject({ code: 'forbidden' });
    const { secret: bound } = await invite({ email: 'Gina@example.org' });
    for (const email of ['', 'other@example.org']) {
      await expect(signUp(bound, { email })).rejects.toMatchObject({ code: 'forbidden' });
    }
    expect((await signUp(bound, { email: 'gina@Example.org' })).account?.email).toBe('gina@example.org');
    const { secret: gone, invitation } = await invite();
    await (await invitationsAs(ADMIN)).revoke({ id: invitation?.id ?? '' });
    await expect(signUp(gone)).rejects.toMatchObject({ code: 'forbidden' });
    const { secret: old } = await invite();
    identity.aheadMs = 7 * DAY + 1;
    await expect(signUp(old)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('is a matter of superusers, and of owners in the name of their organization', async () => {
    await expect(invite({}, olga)).rejects.toMatchObject({
      code: 'forbidden',
      // Who is invited by an owner becomes no member.
      message: expect.stringContaining('in the name of an organization'),
    });
    const { secret, invitation } = await invite({ organization: 'acme' }, olga);
    expect(invitation).toMatchObject({ makerLogin: 'olga', organizationLogin: 'acme' });
    expect((await signUp(secret)).account?.login).toBe(`guest${number}`);
    await expect(invite({ organization: 'nothing' }, olga)).rejects.toMatchObject({ code: 'not_found' });

    // Rights are today's.
    const { secret: later } = await invite({ organization: 'acme' }, olga);
    identity.owners.delete(`org-acme ${olga.id}`);
    await expect(signUp(later)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(invite({ organization: 'acme' }, olga)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('lists and takes back what is one’s own, and to superusers all', async () => {
    const { invitation } = await invite({ organization: 'acme', email: 'x@example.org' }, olga);
    const id = invitation?.id ?? '';
    const { invitation: other } = await invite();
    const ids = async (credential: Credential) =>
      (await (await invitationsAs(credential)).list({})).invitations.map((each) => each.id);
    expect(await ids(olga)).toContain(id);
    expect(await ids(olga)).not.toContain(other?.id);
    expect(await ids(ADMIN)).toEqual(expect.arrayContaining([id, other?.id ?? '']));
    const byOlga = await invitationsAs(olga);
    await expect(byOlga.revoke({ id: other?.id ?? '' })).rejects.toMatchObject({ code: 'not_found' });
    await byOlga.revoke({ id });
    await expect(byOlga.revoke({ id })).rejects.toMatchObject({ code: 'not_found' });
    expect(await ids(olga)).not.toContain(id);
    const { rows } = await identity.database.pool.query(
      "SELECT action, owner_id FROM audit WHERE action LIKE 'invitation.%' ORDER BY audit.id DESC LIMIT 1",
    );
    expect(rows).toEqual([{ action: 'invitation.revoke', owner_id: 'org-acme' }]);
  });

  it.each([[{ maxAgeSeconds: 0n }], [{ maxAgeSeconds: 2_592_001n }], [{ email: 'nobody' }]])(
    'is not offered by %j',
    async (request) => {
      await expect(invite(request)).rejects.toMatchObject({ code: 'invalid' });
    },
  );
});
