import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { type Audience, audienceOf, type Grant } from '@vivarium/access/audience';
import { ANONYMOUS } from '@vivarium/access/caller';
import { STRANGER_STANDING } from '@vivarium/access/standing';
import { type Caller, RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { readChannel } from './channel-row.js';
import { listingOf } from './list-packages.js';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(240_000);

const MANY = 100_000;

describe('the list of packages', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bea: Caller;
  let eve: Caller;
  let acme: string;

  beforeAll(async () => {
    running = await RunningPackages.start();
    [ann, bea, eve] = [running.user('ann'), running.user('bea'), running.user('eve')];
    acme = running.organization('acme', ann);
    const devs = running.group(acme, { name: 'devs', permission: 'read' }, [bea]);
    await (await running.packages(ann)).create({ channel: 'acme', name: 'a_first' });
    const [theirs, ours] = [
      audienceOf({ visibility: 'private', grants: [] }),
      audienceOf({ visibility: 'private', grants: [{ kind: 'group', id: devs, permission: 'read' }] }),
    ];
    // Every 2,000th belongs to the group, the last is public.
    await running.pool.query(
      `INSERT INTO packages (id, channel_id, name, visibility, audience_id, audience)
       SELECT 'many-' || n, $1, 'many-' || lpad(n::text, 6, '0'), CASE WHEN n = $5 THEN 'public' ELSE 'private' END,
         audience->>'id', audience
       FROM generate_series(1, $5::int) n,
         LATERAL (SELECT CASE WHEN n = $5 THEN $4::jsonb WHEN n % 2000 = 0 THEN $3::jsonb ELSE $2::jsonb END AS audience)`,
      [acme, JSON.stringify(theirs), JSON.stringify(ours), JSON.stringify(PUBLIC), MANY],
    );
    await running.pool.query(
      `INSERT INTO grants SELECT id, 'group', $1, 'read' FROM packages WHERE channel_id = $2 AND audience_id = $3`,
      [devs, acme, ours.id],
    );
    await running.pool.query('ANALYZE packages');
  });
  afterAll(() => running.stop());

  const list = async (who: Caller | undefined, page: { after?: string; limit?: number } = {}) => {
    const { packages, more } = await (await running.packages(who)).list(
      { channel: 'acme', ...page },
      { timeoutMs: 30_000 },
    );
    return { names: packages.map(({ name }) => name), more };
  };
  const numbered = (...numbers: number[]) => numbers.map((number) => `many-${String(number).padStart(6, '0')}`);

  it('is what each may see of a hundred thousand, page by page', async () => {
    expect(await list(undefined)).toEqual({ names: ['a_first', ...numbered(MANY)], more: false });
    expect(await list(eve, { limit: 1 })).toEqual({ names: ['a_first'], more: true });
    expect(await list(eve, { after: 'a_first' })).toEqual({ names: numbered(MANY), more: false });
    const groups = Array.from({ length: 49 }, (_, index) => (index + 1) * 2_000);
    expect(await list(bea)).toEqual({ names: ['a_first', ...numbered(...groups, MANY)], more: false });
    expect(await list(bea, { after: 'many-090000', limit: 4 })).toEqual({
      names: numbered(92_000, 94_000, 96_000, 98_000),
      more: true,
    });
    expect(await list(ann, { after: 'many-050000', limit: 2 })).toEqual({
      names: numbered(50_001, 50_002),
      more: true,
    });
    expect((await list(ann)).names).toHaveLength(200);
    expect(await list(ann, { after: numbered(MANY - 1)[0] ?? '' })).toEqual({ names: numbered(MANY), more: false });
  });

  it.each([
    [
      ['many-05000?'],
      ['a_first', ...numbered(50_000, 50_001, 50_002, 50_003, 50_004, 50_005, 50_006, 50_007, 50_008, 50_009, MANY)],
    ],
    [
      ['*-099999', 'MANY-1'],
      ['a_first', ...numbered(99_999, MANY)],
    ],
    [
      ['many_000001', 'many%', '\\'],
      ['a_first', ...numbered(MANY)],
    ],
    [['a?first'], ['a_first', ...numbered(MANY)]],
  ])('is cut by the globs %j of a token', async (globs, names) => {
    const restrictions = create(RestrictionsSchema, { packages: globs });
    expect(await list(running.token(ann, 'cut', { restrictions }))).toEqual({ names, more: false });
  });

  it.each([
    ['an owner', { everything: true, signedIn: true, principals: [] }, 201],
    ['a member with a group', { everything: false, signedIn: true, principals: ['group:group-id-acme-devs'] }, 51],
    ['a stranger', { everything: false, signedIn: false, principals: [] }, 2],
  ])('is read for %s without going through the channel', async (_, view, count) => {
    const channel = await readChannel(running.pool, 'login', 'acme');
    if (channel === undefined) throw new Error('no channel');
    const admission = { kind: 'view', view, cut: false } as const;
    const reader = { caller: ANONYMOUS, message: undefined, channel, standing: STRANGER_STANDING, admission };
    const { text, values } = listingOf(reader, { after: '', limit: 201 });
    const { rows } = await running.pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, [...values]);
    const scans = scansIn(rows[0]['QUERY PLAN'][0].Plan).filter((node) => node['Relation Name'] === 'packages');
    expect(scans.map((node) => node['Node Type']).filter((type) => type === 'Seq Scan')).toEqual([]);
    const looked = scans.map(
      (node) => node['Actual Loops'] * (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)),
    );
    // Once in the index for the page, once for its rows.
    expect(Math.round(looked.reduce((sum, each) => sum + each, 0))).toBe(2 * count);
  });
});

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

function scansIn(node: PlanNode): readonly PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(scansIn)];
}

const PUBLIC: Audience = audienceOf({ visibility: 'public', grants: [] as readonly Grant[] });
