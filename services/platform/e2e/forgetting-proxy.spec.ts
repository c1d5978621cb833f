import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import { type Answered, ask } from './ask.js';
import { hasNginx, startCachingProxy } from './caching-proxy.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase, JSON_V1, shardsOf, simpleFiles } from './formats.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

const suite =
  // What the answers say of caching is the gateway's own matter: once is enough.
  productTarget() === 'services'
    ? describe.skip
    : skipSuiteUnless(hasNginx, 'a caching proxy in front', 'nginx is not installed (.ci/install.sh does)');

// What one asked for, a proxy must not give to another; what was public, it must not give when it is private.
suite('behind a proxy that keeps answers', () => {
  const secrets = new Secrets();
  let product: Product;
  let proxy: { readonly url: string; stop(): Promise<void> };
  let admin: Publisher;
  let token: string;

  beforeAll(async () => {
    product = await startProduct();
    proxy = await startCachingProxy(product.url);
    admin = await Publisher.admin(product, secrets);
    token = await admin.makeToken({ name: 'owner', scopes: ['repos'] });
  });
  afterAll(async () => {
    await proxy?.stop();
    await product?.stop();
  });

  /** A conda package and a project, and every address that tells of them, without a token in it. */
  async function publish(name: string, isPrivate: boolean): Promise<readonly string[]> {
    const [conda, python] = [condaPackage({ name, version: '1.0' }), wheel({ name: `py-${name}`, version: '1.0' })];
    for (const each of [conda, python]) await admin.upload(each, { isPrivate });
    const [file] = await simpleFiles({ product, channel: 'admin', token }, `py-${name}`);
    const wheelUrl = new URL(file?.url ?? '', `${product.pypi}/admin/simple/py-${name}/`).pathname;
    const noarch = '/conda/admin/noarch';
    const shards = await shardsOf(`${condaBase({ product, channel: 'admin', token })}/noarch`);
    const shard = new URL(shards.get(name) ?? '').pathname.split('/').at(-1);
    return [
      `${noarch}/repodata.json`,
      `${noarch}/repodata.json.zst`,
      `${noarch}/repodata_shards.msgpack.zst`,
      `${noarch}/shards/${shard}`,
      `${noarch}/${name}-1.0-0.conda`,
      `/conda/admin/label/main/noarch/${name}-1.0-0.conda`,
      '/pypi/admin/simple/',
      `/pypi/admin/simple/py-${name}/`,
      wheelUrl,
      `${wheelUrl}.metadata`,
    ];
  }

  const asStranger = (path: string): Promise<Answered> => ask(proxy.url + path);
  /** In every form in which one address is answered: HTML or JSON, plain or compressed. */
  const FORMS = [{}, { Accept: JSON_V1 }, { 'Accept-Encoding': 'gzip' }] as const;

  /** Through the proxy one gets what one gets without it. */
  async function expectOwn(path: string, isOwner: boolean): Promise<void> {
    const isShaped = /repodata\.json$|simple\//.test(path);
    for (const form of isShaped ? FORMS : FORMS.slice(0, 1)) {
      const headers = { ...form, ...(isOwner ? { Authorization: `token ${token}` } : {}) };
      const through = await ask(proxy.url + path, { headers });
      const plain = await ask(product.url + path, { headers });
      const what = [path, isOwner ? 'owner' : 'stranger', form];
      expect([...what, through.status, through.headers['x-cache'] === 'HIT']).toEqual([...what, plain.status, false]);
      expect([...what, through.headers['content-type']]).toEqual([...what, plain.headers['content-type']]);
      expect([...what, through.bytes.equals(plain.bytes)]).toEqual([...what, true]);
    }
  }

  it.each([
    ['the owner first', [true, false, true]],
    ['a stranger first', [false, true, false]],
  ])('each gets their own of what is private: %s', async (_, order) => {
    const paths = await publish(`hidden-${order[0]}`, true);
    for (const path of paths) for (const isOwner of order) await expectOwn(path, isOwner);
  });

  it.each([
    ['the owner first', [true, false]],
    ['a stranger first', [false, true]],
  ])('nobody gets what was public before, nor misses what is public now: %s', async (_, order) => {
    const name = `turning-${order[0]}`;
    const paths = await publish(name, false);
    for (const visibility of ['public', 'private', 'public'] as const) {
      for (const each of [name, `py-${name}`]) await admin.setVisibility(each, visibility);
      for (const path of paths) {
        for (const isOwner of order) await expectOwn(path, isOwner);
        const { status } = await asStranger(path);
        const isIndex = /repodata|simple\/$/.test(path);
        expect([path, visibility, status]).toEqual([path, visibility, isIndex || visibility === 'public' ? 200 : 404]);
      }
    }
  });

  it('a revoked token in the address opens nothing any more', async () => {
    const name = 'behind';
    const passing = await admin.makeToken({ name: 'passing', scopes: ['repos'] });
    await publish(name, true);
    const path = `/t/${passing}/admin/noarch/${name}-1.0-0.conda`;
    for (let round = 0; round < 2; round++) expect((await asStranger(path)).status).toBe(200);
    await admin.removeToken('passing');
    expect((await asStranger(path)).status).toBe(401);
  });
});
