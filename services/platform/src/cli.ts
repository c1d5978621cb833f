import { ROLES, readConfig, type Target } from '@vivarium/boot/config';
import { failureOf } from '@vivarium/boot/run';
import { Command, InvalidArgumentError } from 'commander';

// What a command stands on is loaded when it runs: help, and a word about what is missing, come at once.

/** The command line `vivarium`: a role to run, or one thing to do. Every command has `--help`; most end with 0 or 1. */
export function program(): Command {
  const vivarium = new Command('vivarium')
    .description('The open, self-hosted home for private conda and Python packages')
    .showHelpAfterError('(vivarium --help tells what there is)')
    .addHelpText('after', ENVIRONMENT);
  addRole(vivarium, 'all', 'run every role in one process; what is not configured is embedded');
  for (const role of ROLES) addRole(vivarium, role, `run the role ${role} alone`);
  vivarium
    .command('migrate')
    .description('bring the database to this version; running it again does nothing')
    .action(async () => {
      const config = readConfig(process.env, 'all');
      const { migrateDatabase } = await import('./cli-migrate.js');
      await migrateDatabase(config);
    });
  addUserCommands(vivarium);
  vivarium
    .command('revoke-tokens')
    .description('revoke the tokens in a text on standard input that should not be there, and tell whose they are')
    .action(async () => {
      const config = readConfig(process.env, 'all');
      const { revokeTokensByHand } = await import('./cli-revoke-tokens.js');
      await revokeTokensByHand(config);
    });
  vivarium
    .command('rebuild')
    .argument('<channel>', 'login of the user or organization')
    .description('make the indexes of a channel anew from its files')
    .action(async (channel: string) => {
      const config = readConfig(process.env, 'all');
      const { rebuildChannel } = await import('./cli-rebuild.js');
      await rebuildChannel(config, channel);
    });
  addUpkeepCommands(vivarium);
  addCanI(vivarium);
  vivarium
    .command('nats-conf')
    .description('print the configuration of a NATS server: one user for each service, with the rights it needs')
    .action(async () => {
      const { natsConf } = await import('./nats-conf.js');
      process.stdout.write(natsConf());
    });
  return vivarium;
}

const ENVIRONMENT = `
Configuration comes from the environment:
  PORT HOST PUBLIC_URL CONDA_HOST PYPI_HOST API_HOST TRUSTED_PROXIES METRICS_PORT LOG_LEVEL OTEL_EXPORTER_OTLP_ENDPOINT
  DATA_DIR                what is embedded keeps its data here (.vivarium)
  DATABASE_URL NATS_URL REDIS_URL
  S3_ENDPOINT S3_REGION S3_BUCKET S3_ACCESS_KEY_ID S3_SECRET_ACCESS_KEY
  VIVARIUM_SECRET         32 random characters or more, the same for every role
  VIVARIUM_ADMIN_PASSWORD of the first administrator
  VIVARIUM_SIGN_UP        who may make an account: closed (superusers make them), invitation, or open (closed)
  VIVARIUM_ORGANIZATIONS  who may make organizations: everybody, or superusers (everybody)
  VIVARIUM_BAD_TOKEN      a read with a token that does not count: loud (401), or anonymous (loud)
  SMTP_URL MAIL_FROM      how mails go out (files in DATA_DIR/mail)
  VIVARIUM_MAX_UPLOAD_BYTES     how large an upload may be (10 GiB)
  VIVARIUM_SWEEP_GRACE_SECONDS  how long bytes stay that nothing needs any more (3600)
docs/settings.md says more of each.`;

function addRole(vivarium: Command, target: Target, description: string): void {
  vivarium
    .command(target, target === 'all' ? { isDefault: false } : {})
    .description(description)
    .action(async () => {
      const config = readConfig(process.env, target);
      const { serve } = await import('./serve.js');
      await serve(config);
    });
}

function addUserCommands(vivarium: Command): void {
  const user = vivarium.command('user').description('make users and reset their passwords');
  user
    .command('create')
    .argument('<login>', 'a-z, 0-9, "-" and "_"; two characters or more')
    .requiredOption('--email <address>', 'where to reach the user')
    .option('--superuser', 'may manage accounts', false)
    .option('--password-stdin', 'read the password from standard input; without it one is made and shown', false)
    .description('make a user')
    .action(async (login: string, options: { email: string; superuser: boolean; passwordStdin: boolean }) => {
      const config = readConfig(process.env, 'all');
      const { createUserByHand } = await import('./cli-user.js');
      await createUserByHand(config, { login, ...options });
    });
  user
    .command('reset-password')
    .argument('<login>')
    .option('--password-stdin', 'read the password from standard input; without it one is made and shown', false)
    .description('set a new password and end all sessions of the user')
    .action(async (login: string, options: { passwordStdin: boolean }) => {
      const config = readConfig(process.env, 'all');
      const { resetPasswordByHand } = await import('./cli-user.js');
      await resetPasswordByHand(config, { login, ...options });
    });
  addDisabling(user, 'disable', 'end all sessions of the user, and refuse its password and tokens until it is enabled');
  addDisabling(user, 'enable', 'let a disabled user in again, with the tokens it had');
}

function addDisabling(user: Command, verb: 'disable' | 'enable', description: string): void {
  user
    .command(verb)
    .argument('<login>')
    .description(description)
    .action(async (login: string) => {
      const config = readConfig(process.env, 'all');
      const { setDisabledByHand } = await import('./cli-user.js');
      await setDisabledByHand(config, login, verb === 'disable');
    });
}

function addUpkeepCommands(vivarium: Command): void {
  vivarium
    .command('fsck')
    .argument('[channel]', 'login of the user or organization; everything if it is left out')
    .option('--repair', 'mend what can be mended; indexes are made anew', false)
    .option('--bytes', 'read the bytes of all files too, and hash them', false)
    .description('compare files, bytes and indexes while everything goes on; ends with 1 if a difference is left')
    .action(async (channel: string | undefined, options: { repair: boolean; bytes: boolean }) => {
      const config = readConfig(process.env, 'all');
      const { checkInstallation } = await import('./cli-fsck.js');
      if ((await checkInstallation(config, channel, options)) > 0) process.exitCode = 1;
    });
  vivarium
    .command('sweep')
    .option('--dry-run', 'only say what would be removed', false)
    .option('--grace <seconds>', 'how long bytes stay that nothing needs any more', parseSeconds)
    .description('remove what nothing needs any more now; it also happens by itself every ten minutes')
    .action(async ({ dryRun, grace }: { dryRun: boolean; grace?: number }) => {
      const config = readConfig(process.env, 'all');
      const { sweepByHand } = await import('./cli-sweep.js');
      await sweepByHand(config, { dryRun, grace });
    });
}

function addCanI(vivarium: Command): void {
  vivarium
    .command('can-i')
    .argument('<as>', 'login of who would do it; anonymous for anybody')
    .argument('<verb>', 'read, write, create, admin or own')
    .argument('<resource>', 'a channel, or a package as channel/package')
    .option('--token <name>', 'by this token of that account')
    .option('--label <label>', 'under this label')
    .option('--via <door>', 'by this way in: api, conda, pypi, upload, upload:conda …')
    .description('say whether somebody may do something, and why; ends with 0 for yes, 1 for no, 2 for an error')
    .action(async (as: string, verb: string, resource: string, options: { token?: string; label?: string }) => {
      try {
        const config = readConfig(process.env, 'all');
        const { explainDecision } = await import('./cli-can-i.js');
        process.exitCode = (await explainDecision(config, { as, verb, resource, ...options })) ? 0 : 1;
      } catch (error) {
        process.stderr.write(`${failureOf(error).line}\n`);
        process.exitCode = 2;
      }
    });
}

function parseSeconds(text: string): number {
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Give a number of seconds, 0 or more.');
}
