import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderMailer } from './folder-mailer.js';

describe('the folder of mails', () => {
  let data: string;
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), 'vivarium-mail-'));
  });
  afterEach(() => rm(data, { recursive: true }));

  const from = { name: '', address: 'vivarium@localhost' };
  const mailOf = (id: string, date = new Date('2026-11-24T12:00:00Z')) => ({
    id,
    to: 'alice@example.org',
    subject: 'A token ends',
    text: 'Hello alice,\n',
    date,
  });

  it('has each mail as a file that only its owner reads, and one that is sent again once', async () => {
    const folder = join(data, 'mail');
    const mailer = new FolderMailer(folder, from);
    for (const id of ['inbox.1.7', 'inbox.1.8', 'inbox.1.7']) await mailer.send(mailOf(id));
    const names = ['2026-11-24T12-00-00.000Z-inbox.1.7.eml', '2026-11-24T12-00-00.000Z-inbox.1.8.eml'];
    expect((await readdir(folder)).sort()).toEqual(names);
    const path = join(folder, names[0] ?? '');
    expect([(await stat(folder)).mode & 0o777, (await stat(path)).mode & 0o777]).toEqual([0o700, 0o600]);
    const [head = '', body] = (await readFile(path, 'utf8')).split('\r\n\r\n');
    expect(head.split('\r\n')).toEqual(expect.arrayContaining(['From: vivarium@localhost', 'To: alice@example.org']));
    expect(body).toBe('Hello alice,\r\n');
  });

  it('keeps the newest thousand, and what it did not write', async () => {
    const folder = join(data, 'mail');
    await mkdir(folder);
    await writeFile(join(folder, 'notes.txt'), '');
    for (let day = 0; day < 1_000; day++) {
      const name = `${new Date(day * 86_400_000).toISOString().replaceAll(':', '-')}-inbox.1.${day}.eml`;
      await writeFile(join(folder, name), '');
    }
    await new FolderMailer(folder, from).send(mailOf('inbox.9.9'));
    const names = (await readdir(folder)).sort();
    expect(names).toHaveLength(1_001);
    expect([names[0], names.at(-2), names.at(-1)]).toEqual([
      expect.stringMatching(/^1970-01-02/),
      expect.stringMatching(/^2026-11-24.*inbox\.9\.9\.eml$/),
      'notes.txt',
    ]);
  });

  it('that cannot be written is an error without a name in it', async () => {
    await writeFile(join(data, 'file'), '');
    const sending = new FolderMailer(join(data, 'file', 'mail'), from).send(mailOf('inbox.1.7'));
    await expect(sending).rejects.toMatchObject({ message: 'the folder: ENOTDIR', what: 'server' });
  });
});
