// The page of a caller without an identity: how to sign in.

import type { JSX } from "preact";
import type { ApiError } from "../api";

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

export function SignIn({ error }: { error: ApiError }): JSX.Element {
  const identity = error.status === 401;
  return (
    <main class="sign-in">
      <h1>{identity ? "Who are you?" : "The console cannot be shown"}</h1>
      <p class="trouble" role="alert">
        <strong>{error.code}</strong> {error.message}
      </p>
      {identity && (
        <>
          <p>
            This server asks for an identity, and a browser cannot send one by itself. A proxy in front of Athena signs people in and tells who they are, in the
            header <code>x-athena-identity</code> (<code>ATHENA_AUTH_IDENTITY_HEADER</code>). Open the console by the proxy's address. For nginx:
          </p>
          <pre tabIndex={0}>{NGINX}</pre>
          <p>
            The proxy has to be among <code>ATHENA_AUTH_TRUSTED_PROXIES</code>, its name among <code>ATHENA_ALLOWED_HOSTS</code>, and what a name may do is in{" "}
            <code>ATHENA_AUTH_IDENTITY_ROLE_MAP</code>. More in docs/security.md. On this machine, the command line takes the name as it is:
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
