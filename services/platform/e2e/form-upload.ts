import { basic } from './ask.js';

/** The request of an upload by form, as Python's clients send it: its fields, the file last. */
export function formUpload(
  file: { name: string; version: string; filename: string; bytes: Uint8Array; sha256: string },
  token: string,
) {
  const boundary = 'b'.repeat(32);
  const fields = {
    ':action': 'file_upload',
    protocol_version: '1',
    name: file.name,
    version: file.version,
    filetype: 'bdist_wheel',
    pyversion: 'py3',
    metadata_version: '2.1',
    sha256_digest: file.sha256,
  };
  const head = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const content = `--${boundary}\r\nContent-Disposition: form-data; name="content"; filename="${file.filename}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return {
    headers: {
      Authorization: basic('__token__', token),
      'Content-Type': `multipart/form-data; boundary=${boundary}`,
    },
    body: Buffer.concat([Buffer.from(head.join('') + content), file.bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}
