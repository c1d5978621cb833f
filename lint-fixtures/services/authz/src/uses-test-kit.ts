import { all } from '../../../libs/testkit/src/platform.js';

export const everything = all;
