import { jest } from '@jest/globals';
import { isMatch } from '@vivarium/rpc/subject';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type NatsWithUsers, natsUrlAs, startNatsWithUsers } from '@vivarium/testkit/nats-users';
import { findProgram } from '@vivarium/testkit/programs';
import { BUS_USERS, type BusUser, EVENTS, queueOf, rightsOf } from '../src/bus-rights.js';
import { contractMethods } from './contract-methods.js';
import { NatsLine } from './nats-line.js';

jest.setTimeout(120_000);

const onNats = skipSuiteUnless(
  findProgram('nats-server') !== undefined && process.env.TEST_NATS_URL === undefined,
  'who may use which subject of the bus',
  'nats-server is not installed, or TEST_NATS_URL names one with users of its own',
);

onNats('on NATS as it is delivered', () => {
  let nats: NatsWithUsers;
  let everything: NatsLine;
  const lines = new Map<BusUser, NatsLine>();
  const subjects: string[] = [];

  beforeAll(async () => {
    nats = await startNatsWithUsers();
    const url = nats.env.NATS_URL ?? '';
    everything = await NatsLine.open(url);
    for (const user of BUS_USERS) lines.set(user, await NatsLine.open(natsUrlAs(url, user, nats.passwords)));
    subjects.push(
      ...(await contractMethods()).map(({ subject }) => subject),
      ...EVENTS.map(({ pattern }) => pattern.replace('*', 'acme').replace('>', 'acme.conda')),
      ...BUS_USERS.map((user) => `_INBOX.${user}.abc.1`),
      ...['_INBOX.abc', 'readable.acme.other', 'invalidations.gateway', 'rpctest.Echo.say', 'anything'],
      ...['$SYS.REQ.SERVER.PING', '$JS.API.INFO'],
    );
  });
  afterAll(async () => {
    for (const line of [...lines.values(), everything]) line?.close();
    await nats?.stop();
  });

  const lineOf = (user: BusUser): NatsLine => {
    const line = lines.get(user);
    if (line === undefined) throw new Error(`${user} has no connection`);
    return line;
  };

  it('lets in nobody without a password, with a wrong one, or with that of another', async () => {
    const url = nats.env.NATS_URL ?? '';
    const anybody = url.replace(/\/\/[^@]*@/, '//');
    await expect(NatsLine.open(anybody)).rejects.toThrow('Authorization Violation');
    for (const user of BUS_USERS) {
      const others = Object.fromEntries(BUS_USERS.map((each) => [each, nats.passwords.gateway ?? '']));
      const attempt = NatsLine.open(natsUrlAs(url, user, user === 'gateway' ? { gateway: 'wrong' } : others));
      await expect(attempt).rejects.toThrow('Authorization Violation');
    }
  });

  it('hands on what a service may send, and refuses all else, subject by subject', async () => {
    const sid = everything.subscribe('>');
    await everything.settle();
    const table: string[] = [];
    for (const user of BUS_USERS) {
      const line = lineOf(user);
      for (const subject of subjects) line.publish(subject, user);
      await line.settle();
      await everything.settle();
      const handedOn = everything.heard().filter(({ text }) => text === user);
      const may = subjects.filter((subject) => rightsOf(user).publish.some((pattern) => isMatch(pattern, subject)));
      expect([user, handedOn.map(({ subject }) => subject)]).toEqual([user, may]);
      expect([user, [...line.refusals()].sort()]).toEqual([
        user,
        subjects
          .filter((subject) => !may.includes(subject))
          .map((subject) => `'Permissions Violation for Publish to "${subject}"'`)
          .sort(),
      ]);
      table.push(`${user} sends ${may.length} of ${subjects.length}`);
    }
    everything.unsubscribe(sid);
    process.stderr.write(`${table.join(', ')}\n`);
  });

  it('lets a service hear what it may, and refuses all else, subject by subject', async () => {
    const sids = new Map<string, readonly [user: BusUser, subject: string]>();
    for (const user of BUS_USERS) {
      for (const subject of subjects) sids.set(`${user} ${lineOf(user).subscribe(subject)}`, [user, subject]);
      await lineOf(user).settle();
    }
    for (const subject of subjects) everything.publish(subject, 'news');
    await everything.settle();
    for (const user of BUS_USERS) {
      const line = lineOf(user);
      await line.settle();
      const may = subjects.filter((subject) => rightsOf(user).subscribe.some((pattern) => isMatch(pattern, subject)));
      const heard = line.heard().map(({ sid, subject }) => {
        expect(sids.get(`${user} ${sid}`)).toEqual([user, subject]);
        return subject;
      });
      expect([user, [...new Set(heard)].sort()]).toEqual([user, [...new Set(may)].sort()]);
      expect([user, new Set(line.refusals())]).toEqual([
        user,
        new Set(
          subjects
            .filter((subject) => !may.includes(subject))
            .map((subject) => `'Permissions Violation for Subscription to "${subject}"'`),
        ),
      ]);
    }
    for (const key of sids.keys()) {
      const [user = '', sid = ''] = key.split(' ');
      lines.get(BUS_USERS.find((each) => each === user) ?? 'platform')?.unsubscribe(sid);
    }
  });

  it('lets nobody hear more by a pattern than by a subject', async () => {
    const patterns = ['>', '*', '*.>', '_INBOX.>', '_INBOX.*.>', 'invalidations.*', 'acknowledgements.>', 'identity.>'];
    for (const user of BUS_USERS) {
      const line = lineOf(user);
      for (const pattern of patterns) line.subscribe(pattern);
      await line.settle();
      expect([user, line.refusals().length]).toEqual([user, patterns.length]);
    }
    everything.publish('identity.Callers.whoIs', 'a credential');
    everything.publish('_INBOX.gateway.abc.1', 'an answer');
    await everything.settle();
    for (const user of BUS_USERS) {
      await lineOf(user).settle();
      expect([user, lineOf(user).heard()]).toEqual([user, []]);
    }
  });

  it('lets each service answer its own subjects in its own queue, and nobody else', async () => {
    const owners = BUS_USERS.map(queueOf);
    const methods = subjects.filter((subject) => owners.includes(subject.split('.')[0] ?? ''));
    expect(methods.length).toBeGreaterThan(50);
    for (const user of BUS_USERS) {
      const line = lineOf(user);
      const ownerOf = (subject: string) => subject.slice(0, subject.indexOf('.'));
      // The very queue of the owner: taking part in it would be to get a share of its requests.
      const sids = methods.map((subject) => line.subscribe(subject, ownerOf(subject)));
      await line.settle();
      expect([user, [...line.refusals()].sort()]).toEqual([
        user,
        methods
          .filter((subject) => queueOf(user) !== ownerOf(subject))
          .map(
            (subject) => `'Permissions Violation for Subscription to "${subject}" using queue "${ownerOf(subject)}"'`,
          )
          .sort(),
      ]);
      for (const sid of sids) line.unsubscribe(sid);
      const own = methods.find((subject) => subject.startsWith(`${queueOf(user)}.`));
      if (own === undefined) continue;
      // Beside the queue it would hear what its replicas are asked, and a second answer would reach whoever asked.
      line.subscribe(own);
      line.subscribe(own, 'another');
      await line.settle();
      expect([user, line.refusals().length]).toEqual([user, 2]);
    }
  });

  it('lets an answer go to whoever asked, once, and to nobody else', async () => {
    const [gateway, identity, packages] = [lineOf('gateway'), lineOf('identity'), lineOf('packages')];
    const [asking, serving] = [gateway.subscribe('_INBOX.gateway.>'), identity.subscribe('identity.>', 'identity')];
    await Promise.all([gateway.settle(), identity.settle()]);
    const inbox = '_INBOX.gateway.asked.1';

    identity.publish(inbox, 'unasked');
    await identity.settle();
    gateway.request('identity.Callers.whoIs', inbox, 'who is it?');
    await gateway.settle();
    await identity.settle();
    expect(identity.heard()).toMatchObject([{ subject: 'identity.Callers.whoIs', reply: inbox }]);
    packages.publish(inbox, 'forged');
    identity.publish('_INBOX.gateway.asked.2', 'to another question');
    identity.publish(inbox, 'the answer');
    identity.publish(inbox, 'another answer');
    await Promise.all([packages.settle(), identity.settle()]);
    await gateway.settle();
    expect(gateway.heard().map(({ text }) => text)).toEqual(['the answer']);
    expect(packages.refusals()).toHaveLength(1);
    expect(identity.refusals()).toHaveLength(3);
    gateway.unsubscribe(asking);
    identity.unsubscribe(serving);
  });

  it('lets nobody forge what makes gateways forget or keep, nor say for another what is readable', async () => {
    // In plain words what the tables above say of these, so that no change of the rights changes it unseen.
    const forged: readonly (readonly [string, readonly BusUser[]])[] = [
      ['invalidations.identity', ['identity']],
      ['invalidations.authz', ['authz']],
      ['invalidations.packages', ['packages']],
      ['invalidations.conda-index', ['conda-index']],
      ['invalidations.pypi-index', ['pypi-index']],
      ['acknowledgements.identity', ['gateway']],
      ['acknowledgements.packages', ['gateway']],
      ['readable.acme.conda', ['conda-index']],
      ['readable.acme.pypi', ['pypi-index']],
      ['identity.Callers.whoIs', ['gateway']],
      ['identity.Tokens.create', ['gateway']],
      ['packages.Feed.records', ['conda-index', 'pypi-index', 'platform']],
    ];
    for (const [subject, senders] of forged) {
      const sid = everything.subscribe(subject);
      await everything.settle();
      for (const user of BUS_USERS) lineOf(user).publish(subject, user);
      await Promise.all(BUS_USERS.map((user) => lineOf(user).settle()));
      await everything.settle();
      const heard = everything.heard().map(({ text }) => text);
      expect([subject, heard.sort()]).toEqual([subject, [...senders].sort()]);
      everything.unsubscribe(sid);
    }
    for (const user of BUS_USERS) lineOf(user).refusals();
  });
});
