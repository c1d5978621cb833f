import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMatch } from '@vivarium/rpc/subject';
import { contractMethods } from '../e2e/contract-methods.js';
import { BUS_USERS, type BusUser, CALLS, EVENTS, queueOf, rightsOf } from './bus-rights.js';
import { natsConf } from './nats-conf.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

// What a library calls is called by every service that uses it for that.
const LIBRARIES: Readonly<Record<string, readonly BusUser[]>> = {
  'libs/indexing': ['conda-index', 'pypi-index'],
  'libs/trust': ['identity', 'authz', 'packages'],
};

describe('the rights on the bus', () => {
  it('are what deploy/nats.conf says (npx vivarium nats-conf > deploy/nats.conf makes it so)', () => {
    expect(readFileSync(join(root, 'deploy/nats.conf'), 'utf8')).toBe(natsConf());
  });

  it('name every method of every contract that a service answers, and no other', async () => {
    const subjects = (await contractMethods()).map(({ subject }) => subject);
    const uncalled = subjects.filter((subject) => !Object.keys(CALLS).some((pattern) => isMatch(pattern, subject)));
    expect(uncalled).toEqual([]);
    const unknown = Object.keys(CALLS).filter((pattern) => !subjects.some((subject) => isMatch(pattern, subject)));
    expect(unknown).toEqual([]);
  });

  it('let every service make the calls that its sources make', () => {
    const clients = [
      ...BUS_USERS.flatMap((user) => clientsIn(`services/${user}/src`).map((contract) => [user, contract] as const)),
      ...Object.entries(LIBRARIES).flatMap(([library, users]) =>
        clientsIn(`${library}/src`).flatMap((contract) => users.map((user) => [user, contract] as const)),
      ),
    ];
    expect(clients.length).toBeGreaterThan(30);
    const refused = clients.filter(
      ([user, contract]) => !rightsOf(user).publish.some((p) => p.startsWith(`${contract}.`)),
    );
    expect(refused).toEqual([]);
  });

  it('keep the answers, the queues and the news of each service to itself', () => {
    for (const user of BUS_USERS) {
      const { publish, subscribe, serve } = rightsOf(user);
      expect(subscribe.filter((pattern) => pattern.startsWith('_INBOX'))).toEqual([`_INBOX.${user}.>`]);
      expect(publish.filter((pattern) => pattern.startsWith('_INBOX'))).toEqual([]);
      const forged = publish.filter((pattern) => pattern.startsWith('invalidations.'));
      expect(forged).toEqual(EVENTS.some(({ sent }) => sent.includes(user)) && serve ? [`invalidations.${user}`] : []);
      expect(serve).toEqual(
        user === 'gateway' || user === 'platform' ? undefined : { pattern: `${queueOf(user)}.>`, queue: queueOf(user) },
      );
    }
  });
});

/** The contracts of which the sources in a folder make clients: `identity.Tokens`. */
function clientsIn(folder: string): readonly string[] {
  const found = new Set<string>();
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (!/^(?!.*\.(spec|fixture|conformance)\.ts$).*\.ts$/.test(entry.name)) continue;
    const text = readFileSync(join(entry.parentPath, entry.name), 'utf8');
    const imported = new Map<string, string>();
    for (const [, names = '', queue] of text.matchAll(
      /import \{([^}]*)\} from '@vivarium\/contracts\/gen\/vivarium\/([a-z]+)\/v1\/\w+_pb'/g,
    )) {
      for (const name of names.split(',')) {
        const [contract = '', alias = contract] = name.trim().split(' as ');
        imported.set(alias, `${queue}.${contract}`);
      }
    }
    for (const [, name = ''] of text.matchAll(/\bclientOf\((\w+)/g)) {
      const contract = imported.get(name);
      if (contract !== undefined) found.add(contract);
    }
  }
  return [...found];
}
