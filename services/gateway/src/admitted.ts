import type { View } from '@vivarium/access/view';
import { Fault } from '@vivarium/fault/fault';
import type { Reader } from './access.js';
import { sentenceOf } from './sentence.js';

/** The view that the reader was admitted to. Throws the denial, with its reason. */
export function readableView({ admission }: Reader): View {
  if (admission.kind === 'view') return admission.view;
  throw new Fault(admission.code, sentenceOf(admission.reason));
}
