import { jest } from '@jest/globals';
import { AccountNames } from '@vivarium/contracts/gen/vivarium/identity/v1/account_names_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity } from './identity.fixture.js';

jest.setTimeout(60_000);

describe('names of accounts', () => {
  let identity: RunningIdentity;

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
  });
  afterAll(() => identity.stop());

  const names = async () =>
    clientOf(AccountNames, identity.bus, {
      assertion: await identity.trustOf('packages').assertionFor('identity'),
    });

  it('are those of accounts that exist', async () => {
    const [alice, erin] = [await identity.createUser('alice'), await identity.createUser('erin')];
    await identity.database.db.account.update({
      where: { id: erin.id },
      data: { deletedAt: new Date(), email: null },
    });
    const { accounts } = await (await names()).ofIds({ ids: [alice.id, erin.id, 'nobody'] });
    expect(accounts).toMatchObject([{ id: alice.id, login: 'alice', kind: 'user', disabled: false }]);
  });

  it('are told to services only, a thousand at once', async () => {
    await expect(clientOf(AccountNames, identity.bus).ofIds({ ids: [] })).rejects.toMatchObject({ code: 'forbidden' });
    const { assertion } = await identity.as(ADMIN);
    await expect(clientOf(AccountNames, identity.bus, { assertion }).ofIds({ ids: [] })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    const ids = Array.from({ length: 1_001 }, (_, index) => `id-${index}`);
    await expect((await names()).ofIds({ ids })).rejects.toMatchObject({ code: 'invalid' });
  });
});
