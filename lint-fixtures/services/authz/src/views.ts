import { isFault } from '@vivarium/fault/fault';

export const views = isFault;
