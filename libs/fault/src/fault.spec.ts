import { Fault, faultOf, isFault, isFaultCode } from './fault.js';

describe('Fault', () => {
  it('keeps its code and public message, and its cause out of the message', () => {
    const fault = new Fault('conflict', 'a-1.0-0.conda already exists in acme', {
      cause: new Error('unique violation'),
    });
    expect(isFault(fault)).toBe(true);
    expect([fault.code, fault.message]).toEqual(['conflict', 'a-1.0-0.conda already exists in acme']);
  });

  it('hides an unexpected error behind `internal`', () => {
    const fault = faultOf(new Error('password=hunter2'));
    expect(fault.code).toBe('internal');
    expect(fault.message).not.toContain('hunter2');
    expect((fault.cause as Error).message).toContain('hunter2');
  });

  it('knows its nine codes and no others', () => {
    expect(isFaultCode('not_found')).toBe(true);
    expect(isFaultCode('teapot')).toBe(false);
    expect(isFault(Object.assign(new Error('x'), { name: 'Fault', code: 'teapot' }))).toBe(false);
  });
});
