// The page for callers without an identity: how to sign in.

import type { AthenaError } from "@projectathena/client";
import type { JSX } from "preact";

const NGINX = `location / {
    auth_basic           "Athena";            # or any other way to sign in
    auth_basic_user_file /etc/nginx/athena.htpasswd;
    proxy_pass           http://127.0.0.1:8787;
    proxy_http_version   1.1;
    proxy_set_header     Host $http_host;
    proxy_set_header     Connection "";
    proxy_buffering      off;                  # the page is a stream
    proxy_set_header     x-athena-identity $remote_user;
    proxy_set_header     x-athena-scope-sessions "";
    proxy_set_header     x-athena-scope-runs "";
    proxy_set_header     x-athena-scope-personas "";
    proxy_set_header     x-athena-scope-global "";
}`;

export function SignIn({ error }: { error: AthenaError }): JSX.Element {
  const identity = error.status === 401;
  return (
    <main class="sign-in">
      <h1>{identity ? "Sign-in required" : "Cannot load the console"}</h1>
      <p class="trouble" role="alert">
        <strong>{error.code}</strong> {error.message}
      </p>
      {identity && (
        <>
          <p>
            This server requires an identity, which a browser cannot send. Put a proxy in front of Athena that signs users in and sends their name in the header{" "}
            <code>x-athena-identity</code> (<code>ATHENA_AUTH_IDENTITY_HEADER</code>). Then open the console at the address of the proxy. For nginx:
          </p>
          <pre tabIndex={0}>{NGINX}</pre>
          <p>
            Add the proxy to <code>ATHENA_AUTH_TRUSTED_PROXIES</code>, its host name to <code>ATHENA_ALLOWED_HOSTS</code>, and the role of each user to{" "}
            <code>ATHENA_AUTH_IDENTITY_ROLE_MAP</code>. See docs/reference/security.md. On this machine, the command line needs no proxy:
          </p>
          <pre tabIndex={0}>athena --help{"\n"}ATHENA_CLI_IDENTITY=ada athena runs list</pre>
        </>
      )}
      <p>
        <button type="button" onClick={() => location.reload()}>
          Try again
        </button>
      </p>
    </main>
  );
}
