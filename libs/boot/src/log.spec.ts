import { maskTokens, openLog } from './log.js';

function lines(): { written: string[]; destination: { write(line: string): void } } {
  const written: string[] = [];
  return { written, destination: { write: (line: string) => void written.push(line) } };
}

describe('the log', () => {
  it('is one JSON object a line, with its service', () => {
    const { written, destination } = lines();
    openLog({ level: 'info', service: 'identity', destination }).info({ account: 'a1' }, 'token made');
    expect(JSON.parse(written[0] ?? '')).toMatchObject({
      level: 'info',
      service: 'identity',
      account: 'a1',
      msg: 'token made',
    });
  });

  it('never writes a token, a session secret, a password or a password in an address', () => {
    const { written, destination } = lines();
    const log = openLog({ level: 'info', service: 'gateway', destination });
    log.info({ url: '/conda/t/viv-0123456789abcdef0123456789abcdef-abc123/acme/noarch/repodata.json' }, 'request');
    log.error({ error: new Error('bad viv-0123456789abcdef0123456789abcdef-abc123') }, 'x');
    log.info(
      { password: 'hunter2hunter2', database: 'postgresql://vivarium:hunter3@host/db' },
      'vis-0123456789abcdef0123456789abcdef',
    );
    const all = written.join('');
    expect(written).toHaveLength(3);
    for (const secret of ['0123456789abcdef', 'hunter2', 'hunter3']) expect(all).not.toContain(secret);
  });

  it('masks whatever stands after /t/, and where tickets stand', () => {
    expect(maskTokens('POST /api/-/upload/0123-4567')).toBe('POST /api/-/upload/[cut]');
    expect(maskTokens('GET /t/anything-at-all/acme')).toBe('GET /t/[cut]/acme');
  });
});
