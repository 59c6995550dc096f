// A real OAuth server for the suite: oidc-provider with client_credentials and RS256 access tokens, on a port that the system chose.
// Its configuration comes from the environment: E2E_NODE_MODULES (where npm installed it), and E2E_JWKS (its private keys).
// It prints one JSON line when it listens.
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { E2E_NODE_MODULES, E2E_JWKS } = process.env;
const found = createRequire(`${E2E_NODE_MODULES}/`).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found));

const scope = "https://gateway.internal/invoke";
// The port is in the issuer's name, so it comes first.
const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;
const client = (client_id) => ({
  client_id,
  client_secret: `${client_id}-secret-0123456789abcdef`,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  scope,
});

const provider = new Provider(issuer, {
  clients: [client("search-team"), client("other-team")],
  jwks: JSON.parse(E2E_JWKS),
  scopes: [scope],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "https://gateway.internal",
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope,
        audience: "tollgate",
        accessTokenFormat: "jwt",
        accessTokenTTL: 3600,
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});

server.on("request", provider.callback());
console.log(JSON.stringify({ listen: issuer }));
