import { jest } from '@jest/globals';
import { GroupIds } from '@vivarium/contracts/gen/vivarium/authz/v1/group_ids_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { RunningAuthz } from './authz.fixture.js';

jest.setTimeout(60_000);

describe('ids of groups', () => {
  let authz: RunningAuthz;
  let devs: string;

  beforeAll(async () => {
    authz = await RunningAuthz.start();
    await authz.addOrganization('acme', 'alice');
    await authz.addOrganization('umbrella', 'alice');
    devs = await authz.addGroup('acme', { name: 'devs', permission: 'write', allPackages: false });
  });
  afterAll(() => authz.stop());

  const ids = async () => clientOf(GroupIds, authz.bus, { assertion: await authz.assertionOf('packages') });

  it('are found by the name, within the organization', async () => {
    expect(await (await ids()).find({ organizationId: 'acme', name: 'devs' })).toMatchObject({
      id: devs,
      permission: 'write',
      allPackages: false,
    });
    expect(await (await ids()).find({ organizationId: 'acme', name: 'owners' })).toMatchObject({ allPackages: true });
    for (const asked of [
      { organizationId: 'umbrella', name: 'devs' },
      { organizationId: 'acme', name: 'DEVS' },
      { organizationId: 'alice', name: 'owners' },
    ]) {
      await expect((await ids()).find(asked)).rejects.toMatchObject({ code: 'not_found' });
    }
  });

  it('are told to services only', async () => {
    const asked = { organizationId: 'acme', name: 'devs' };
    await expect(clientOf(GroupIds, authz.bus).find(asked)).rejects.toMatchObject({ code: 'forbidden' });
  });
});
