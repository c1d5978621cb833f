import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { condaPackage } from './distributions.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(300_000);

const secrets = new Secrets();
let product: Product;
let admin: Publisher;
let alice: Publisher;
let bob: Publisher;
let eve: Publisher;

beforeAll(async () => {
  product = await startProduct();
  admin = await Publisher.admin(product, secrets);
  [alice, bob, eve] = [await admin.makeUser('alice'), await admin.makeUser('bob'), await admin.makeUser('eve')];
  await alice.expectCall(201, 'POST', '/organizations', { login: 'acme' });
  for (const name of ['secret', 'vault']) {
    await alice.upload(condaPackage({ name, version: '1.0' }), { owner: 'acme', isPrivate: true });
  }
  await alice.expectCall(204, 'POST', '/group/acme/devs', { perms: 'write' });
  await alice.expectCall(204, 'PUT', '/group/acme/devs/packages/secret');
  await alice.expectCall(204, 'PUT', '/group/acme/devs/members/bob');
  await bob.makeToken({ name: 'ci', scopes: ['repos'] });
});
afterAll(() => product?.stop());

/** `as verb resource`, with more parameters. */
async function canI(by: Publisher, question: string, more = ''): Promise<{ status: number; body: unknown }> {
  const [as, verb, resource] = question.split(' ');
  const answered = await by.call('GET', `/can-i?as=${as}&verb=${verb}&resource=${resource}${more}`);
  return { status: answered.status, body: answered.json() };
}

describe('can-i', () => {
  it('explains to an owner who may do what, by the facts of now', async () => {
    const answer = (allow: boolean, words: string) => ({
      status: 200,
      body: { allow, reason: expect.stringContaining(words) },
    });
    expect(await canI(alice, 'bob read acme/secret')).toEqual(answer(true, 'bob reads acme/secret through group devs'));
    expect(await canI(alice, 'bob write acme/secret', '&token=ci')).toEqual(
      answer(false, 'through group devs, but the token ci lacks the scope api:write'),
    );
    expect(await canI(alice, 'bob read acme/secret', '&token=ci')).toEqual(answer(true, 'through conda'));
    expect(await canI(alice, 'eve read acme/secret')).toEqual(answer(false, 'in no group that covers it'));
    await alice.expectCall(204, 'DELETE', '/group/acme/devs/members/bob');
    expect(await canI(alice, 'bob read acme/secret')).toEqual(answer(false, 'bob may not read acme/secret'));
    await alice.expectCall(204, 'PUT', '/group/acme/devs/members/bob');
  });

  it('tells nobody of what is hidden from them', async () => {
    for (const verb of ['read', 'write', 'admin', 'own']) {
      for (const as of ['bob', '', 'alice']) {
        const hidden = await bob.call('GET', `/can-i?as=${as}&verb=${verb}&resource=acme/vault`);
        const missing = await bob.call('GET', `/can-i?as=${as}&verb=${verb}&resource=acme/vanity`);
        expect([hidden.status, hidden.text()]).toEqual([missing.status, missing.text().replace('vanity', 'vault')]);
        expect([200, 404]).toContain(hidden.status);
      }
    }
    expect((await canI(eve, 'bob read acme/secret')).status).toBe(404);
    expect((await canI(bob, 'eve read acme/secret')).status).toBe(403);
    expect((await canI(admin, 'bob read acme/secret')).status).toBe(404);
  });

  it.each([
    [['bob', 'read', 'acme/secret'], 0, /^yes: bob reads acme\/secret through group devs\n$/],
    [['bob', 'write', 'acme/secret', '--token', 'ci'], 1, /^no: bob may write .* lacks the scope api:write\n$/],
    [['anonymous', 'read', 'acme/secret'], 1, /^no: an anonymous caller may not read/],
    [['bob', 'read', 'acme/nothing'], 1, /^no: package "acme\/nothing" does not exist\n$/],
    [['nobody', 'read', 'acme/secret'], 2, /^$/],
    [['bob', 'eat', 'acme/secret'], 2, /^$/],
    [['bob', 'read', 'a/b/c'], 2, /^$/],
  ])('is a command, too: %j ends with %d', async (parameters, code, output) => {
    const ended = await product.command(['can-i', ...parameters]);
    expect([ended.code, ended.stdout]).toEqual([code, expect.stringMatching(output)]);
    expect(ended.stderr === '').toBe(code !== 2);
  });
});

describe('the inbox', () => {
  it('tells who was added to a group', async () => {
    interface Item {
      readonly id: string;
      readonly text: string;
      readonly read_at: string | null;
    }
    const read = async () => (await bob.expectCall(200, 'GET', '/inbox')).json<{ items: Item[]; unread: number }>();
    while ((await read()).items.length < 2) await sleep(100);
    const { items, unread } = await read();
    const text = 'alice added you to the group devs of acme. You may read and write the packages of the group now.';
    expect([unread, items.map((item) => item.text)]).toEqual([2, [text, text]]);
    const [first, second] = items;
    expect((await eve.call('DELETE', `/inbox/${first?.id}`)).status).toBe(404);
    await bob.expectCall(204, 'POST', `/inbox/${first?.id}/read`);
    await bob.expectCall(204, 'DELETE', `/inbox/${second?.id}`);
    expect(await read()).toMatchObject({ items: [{ id: first?.id, read_at: expect.any(String) }], unread: 0 });
  });

  it('is a mail in the folder, too, that says where a token is made and holds no secret', async () => {
    const folder = join(product.env.DATA_DIR ?? '', 'mail');
    const mailsTo = async (login: string) => {
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.eml'));
      const mails = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
      return mails.filter((mail) => mail.includes(`\r\nTo: ${login}@`));
    };
    while ((await mailsTo('bob')).length < 2) await sleep(200);
    const [mail = ''] = await mailsTo('bob');
    const [, body = ''] = mail.replaceAll('=\r\n', '').split('\r\n\r\nHello bob,');
    expect(body).toContain('alice added you to the group devs of acme.');
    expect(body).toContain(`${product.url}/#token`);
    expect(secrets.foundIn((await mailsTo('bob')).join())).toEqual([]);
    expect(await mailsTo('eve')).toEqual([]);
    const modes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).mode & 0o777);
    expect(new Set(await Promise.all(modes))).toEqual(new Set([0o600]));
  });
});

describe('the audit trail', () => {
  interface Trail {
    readonly items: readonly { readonly id: string; readonly action: string; readonly resource: string }[];
    readonly next: string | null;
  }
  const read = async (by: Publisher, query: string) =>
    (await by.expectCall(200, 'GET', `/audit?${query}`)).json<Trail>();

  it.each([
    ['POST', '/organizations', { login: 'initech' }, 201, ['organization.create initech']],
    ['PATCH', '/organizations/initech', { name: 'I' }, 200, ['organization.update initech']],
    ['POST', '/group/initech/devs', {}, 204, ['group.create group initech/devs']],
    ['PATCH', '/group/initech/devs', { permission: 'write' }, 200, ['group.update group initech/devs']],
    ['PUT', '/group/initech/devs/members/bob', undefined, 204, ['group.add_member group initech/devs']],
    ['PUT', '/group/initech/devs/members/bob', undefined, 204, []],
    ['DELETE', '/group/initech/devs/members/bob', undefined, 204, ['group.remove_member group initech/devs']],
    ['DELETE', '/group/initech/devs/members/bob', undefined, 404, []],
    ['DELETE', '/group/initech/owners', undefined, 409, []],
    ['DELETE', '/group/initech/devs', undefined, 204, ['group.delete group initech/devs']],
    ['DELETE', '/organizations/initech', { confirm: 'initech' }, 200, ['organization.delete initech']],
  ])('has of %s %s %j one event, or none if nothing changed', async (method, path, body, status, events) => {
    const [{ id: last = '' } = {}] = (await read(admin, 'limit=1')).items;
    await alice.expectCall(status, method, path, body);
    const { items } = await read(admin, 'limit=20');
    const news = items.filter(({ id }) => id > last).map(({ action, resource }) => `${action} ${resource}`);
    expect(news).toEqual(events);
  });

  it('is read by the owners for theirs, by superusers for all, by nobody else', async () => {
    const { items } = await read(alice, 'owner=acme&limit=200');
    expect(items.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['organization.create', 'group.create', 'group.add_member', 'group.remove_member']),
    );
    expect(items.every((item) => 'owner' in item && item.owner === 'acme')).toBe(true);
    expect((await bob.call('GET', '/audit?owner=acme')).status).toBe(403);
    expect((await eve.call('GET', '/audit?owner=acme')).status).toBe(404);
    expect((await eve.call('GET', '/audit?owner=nowhere')).status).toBe(404);
  });

  it('is the same page by page and as JSON lines, and holds no secret', async () => {
    const pages: string[] = [];
    for (let after = ''; ; ) {
      const { items, next } = await read(admin, `limit=3&after=${after}`);
      pages.push(...items.map((item) => JSON.stringify(item)));
      if (next === null) break;
      after = next;
    }
    const answered = await admin.expectCall(200, 'GET', '/audit?format=jsonl');
    expect(answered.text()).toBe(`${pages.join('\n')}\n`);
    expect(pages.length).toBeGreaterThan(20);
    expect(secrets.foundIn(answered.text())).toEqual([]);
  });
});
