import { S3ServiceException } from '@aws-sdk/client-s3';
import { Fault } from '@vivarium/fault/fault';

/** The HTTP status of an S3 server's answer, or undefined if the error is of another kind. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** True if the server says that there is no such object; false if the bucket is what is missing. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket';
}

/** True if a conditional write was refused because its condition does not hold. */
export function isRefusedCondition(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** True if the server does not know conditional writes. */
export function isUnknownCondition(error: unknown): boolean {
  return statusOf(error) === 501 || nameOf(error) === 'NotImplemented';
}

/**
 * Fault('unavailable') with the operator's remedy for what an S3 server, the network or the SDK may say; our own faults
 * as they are. Endpoint and keys stay in the cause.
 */
export function s3FaultOf(error: unknown): Fault {
  if (error instanceof Fault) return error;
  return new Fault('unavailable', sentenceOf(error), { cause: error });
}

const FULL = 'The blob store is full: free space in the bucket of S3_BUCKET, or raise its quota.';

function sentenceOf(error: unknown): string {
  switch (nameOf(error)) {
    case 'NoSuchBucket':
      return 'The blob store has no such bucket: create it, or correct S3_BUCKET.';
    case 'InvalidAccessKeyId':
    case 'SignatureDoesNotMatch':
    case 'CredentialsProviderError':
      return 'The blob store refuses our keys: correct S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY.';
    case 'AccessDenied':
      return 'The blob store denies access: let our keys read, write, list and delete in S3_BUCKET.';
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
      return 'The bucket lives in another region: correct S3_REGION and S3_ENDPOINT.';
    case 'QuotaExceeded':
    case 'XMinioStorageFull':
      return FULL;
    case 'SlowDown':
    case 'ServiceUnavailable':
      return 'The blob store has too much to do: try again in a few seconds.';
    case 'TimeoutError':
      return 'The blob store does not answer in time: try again, or look at S3_ENDPOINT.';
  }
  if (statusOf(error) === 507) return FULL;
  if (statusOf(error) === undefined) return 'The blob store cannot be reached: try again, or check S3_ENDPOINT.';
  return 'The blob store failed: try again.';
}

function nameOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'name' in error ? String(error.name) : '';
}
