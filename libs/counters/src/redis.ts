import { Fault } from '@vivarium/fault/fault';
import { Redis } from 'ioredis';
import { boundedKey, type Counters, type Verdict, verdictOf } from './counters.js';
import { openMemoryCounters } from './memory.js';

export interface RedisCountersConfig {
  /** `redis[s]://[user]:password@host:port/number`. */
  readonly url: string;
  /** Takes a line for the operator when the server goes away and when it is back. Never holds a secret. */
  readonly log: (line: string) => void;
}

// One step on the server, so that no hit is lost and no key is left without an end between counting and dating.
const HIT = `
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return {count, left}`;

const PREFIX = 'vivarium:counter:';
const ANSWER_WITHIN_MS = 500;
/** After a failure the server is left alone so long: one that hangs must not slow down every request. */
const REST_MS = 1_000;

/**
 * Counters shared by every process, in Redis or Valkey. While the server is away each process counts for itself, and says
 * so once: refusing everybody, or limiting nobody, would both be worse.
 * Resolves when the server has been reached or could not be within 2 s; in that case it is tried again for ever.
 */
export async function openRedisCounters(config: RedisCountersConfig): Promise<Counters> {
  const counters = new RedisCounters(config);
  await counters.connect();
  return counters;
}

class RedisCounters implements Counters {
  private readonly client: Redis;
  private readonly local = openMemoryCounters();
  private readonly log: (line: string) => void;
  private closed = false;
  private away = false;
  private restUntilMs = 0;

  constructor({ url, log }: RedisCountersConfig) {
    this.log = log;
    this.client = new Redis(url, {
      lazyConnect: true,
      connectTimeout: 2_000,
      commandTimeout: ANSWER_WITHIN_MS,
      // A request in flight must not wait for a server to come back.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (attempt) => Math.min(100 * 2 ** attempt, 5_000),
    });
    this.client.on('error', (error: unknown) => this.noteAway(error));
    this.client.on('close', () => this.noteAway('the connection was closed'));
    this.client.on('ready', () => {
      this.restUntilMs = 0;
      this.noteBack();
    });
  }

  async connect(): Promise<void> {
    await this.client.connect().catch((error: unknown) => this.noteAway(error));
  }

  async hit(key: string, windowSeconds: number, limit: number): Promise<Verdict> {
    if (performance.now() < this.restUntilMs) return this.local.hit(key, windowSeconds, limit);
    try {
      const answer = await this.client.eval(HIT, 1, PREFIX + boundedKey(key), Math.ceil(windowSeconds * 1000));
      const [count, leftMs] = parseAnswer(answer);
      this.noteBack();
      return verdictOf(count, limit, leftMs);
    } catch (error) {
      this.restUntilMs = performance.now() + REST_MS;
      this.noteAway(error);
      return this.local.hit(key, windowSeconds, limit);
    }
  }

  async reset(key: string): Promise<void> {
    await this.local.reset(key);
    await this.client.del(PREFIX + boundedKey(key)).catch((error: unknown) => this.noteAway(error));
  }

  async check(): Promise<void> {
    try {
      await this.client.ping();
    } catch (cause) {
      throw new Fault('unavailable', 'Redis cannot be used: check REDIS_URL and its password.', { cause });
    }
  }

  async close(): Promise<void> {
    // Told first, so that the end of the connection is not taken for the server's.
    this.closed = true;
    this.client.disconnect();
    await this.local.close();
  }

  private noteAway(error: unknown): void {
    if (this.away || this.closed) return;
    this.away = true;
    this.log(`Redis cannot be used (${reasonOf(error)}): until it is back, each process counts for itself`);
  }

  private noteBack(): void {
    if (!this.away || this.closed) return;
    this.away = false;
    this.log('Redis is back: rates are counted for all processes together again');
  }
}

function parseAnswer(answer: unknown): [count: number, leftMs: number] {
  const [count, leftMs] = Array.isArray(answer) ? answer.map(Number) : [];
  if (count === undefined || leftMs === undefined || Number.isNaN(count + leftMs)) {
    throw new Error('the server gave an answer of another shape');
  }
  return [count, leftMs];
}

/** The server's or the network's words: neither holds the password. */
function reasonOf(error: unknown): string {
  if (typeof error === 'string') return error;
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : 'no reason given';
}
