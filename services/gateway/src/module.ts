import { type DynamicModule, Inject, Module, type OnModuleDestroy } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { Audit } from './anaconda/audit.js';
import { Authentications } from './anaconda/authentications.js';
import { CanI } from './anaconda/can-i.js';
import { Collaborators } from './anaconda/collaborators.js';
import { Copies } from './anaconda/copies.js';
import { Files } from './anaconda/files.js';
import { Generation } from './anaconda/generation.js';
import { Groups } from './anaconda/groups.js';
import { Inbox } from './anaconda/inbox.js';
import { Labels } from './anaconda/labels.js';
import { LeakedTokens } from './anaconda/leaked-tokens.js';
import { Notices } from './anaconda/notices.js';
import { Organizations } from './anaconda/organizations.js';
import { Packages } from './anaconda/packages.js';
import { Releases } from './anaconda/releases.js';
import { Root } from './anaconda/root.js';
import { Search } from './anaconda/search.js';
import { Session } from './anaconda/session.js';
import { Sight } from './anaconda/sight.js';
import { SignUp } from './anaconda/sign-up.js';
import { Stages } from './anaconda/stages.js';
import { TokensOfAccounts } from './anaconda/tokens-of-accounts.js';
import { Transfer } from './anaconda/transfer.js';
import { UserAccounts } from './anaconda/user-accounts.js';
import { Users } from './anaconda/users.js';
import { Visibility } from './anaconda/visibility.js';
import { Downloads } from './downloads.js';
import type { GatewayPorts } from './gateway.js';
import { Identify } from './identify.js';
import { Legacy } from './legacy.js';
import { BrowserLogin } from './login/browser-login.js';
import { OpenId } from './login/openid.js';
import { OpenApi } from './openapi/openapi.js';
import { PrefixUploads } from './prefix-uploads.js';
import { Uploads } from './uploads.js';
import { ChannelPage } from './web/channel-page.js';
import { Home } from './web/home.js';
import { PackagePage } from './web/package-page.js';

/** Everything of the gateway that is no read of an index or artifact. */
export function gatewayModule(ports: GatewayPorts): DynamicModule {
  return {
    module: GatewayModule,
    controllers: [
      Root,
      OpenApi,
      Authentications,
      LeakedTokens,
      Session,
      SignUp,
      Users,
      UserAccounts,
      Organizations,
      Groups,
      Inbox,
      CanI,
      Audit,
      TokensOfAccounts,
      Packages,
      Collaborators,
      Visibility,
      Transfer,
      Releases,
      Files,
      // Before labels, of which one could be named so.
      Generation,
      Labels,
      Copies,
      Search,
      Stages,
      Uploads,
      PrefixUploads,
      Legacy,
      BrowserLogin,
      OpenId,
      // Behind all of the API: it begins with the name of a channel.
      Notices,
      // Last: a channel's page stands at any first segment that no other address has.
      Home,
      ChannelPage,
      PackagePage,
    ],
    providers: [
      { provide: PORTS, useValue: ports },
      { provide: Identify, useFactory: () => new Identify(ports) },
      { provide: Downloads, useFactory: () => new Downloads(ports) },
      { provide: Sight, useFactory: () => new Sight(ports) },
    ],
  };
}

@Module({})
class GatewayModule implements OnModuleDestroy {
  constructor(@Inject(Downloads) private readonly downloads: Downloads) {}

  onModuleDestroy(): Promise<void> {
    return this.downloads.stop();
  }
}
