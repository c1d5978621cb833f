import type { Counters } from './counters.js';
import { openMemoryCounters } from './memory.js';
import { openRedisCounters } from './redis.js';

export interface CountersConfig {
  /** Present if Redis is configured. */
  readonly redisUrl?: string;
  /** Takes a line for the operator. */
  readonly log: (line: string) => void;
}

/** The counters that the configuration asks for: in Redis if it is configured, else in this process. */
export async function openCounters({ redisUrl, log }: CountersConfig): Promise<Counters> {
  return redisUrl === undefined ? openMemoryCounters() : openRedisCounters({ url: redisUrl, log });
}
