import { request } from 'node:http';
import { BlockList } from 'node:net';

export const dial = request;
export const ranges = new BlockList();
