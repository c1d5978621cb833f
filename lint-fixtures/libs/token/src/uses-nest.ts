import type { Type } from '@nestjs/common';

export type Handler = Type;
