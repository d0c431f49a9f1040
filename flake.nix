# The command line for people who run things with Nix:
#
#   nix run github:nix-cache-preflight/nix-cache-preflight -- check .#hello
#
# dist/ is committed, so nothing is compiled: the one derivation copies it, with the completions and
# the man page, and its builder is the Node that runs it.
#
# There is no flake.lock: any nixpkgs with Node 22.15 or newer will do, and one who wants their own
# writes `--override-input nixpkgs nixpkgs` or `inputs.nixpkgs.follows`.
{
  description = "What is in a binary cache, what would be built from source, and did the push arrive";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      perSystem =
        make:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = make name;
          }) systems
        );
      version = (builtins.fromJSON (builtins.readFile ./package.json)).version;
    in
    {
      packages = perSystem (
        system:
        let
          packages = nixpkgs.legacyPackages.${system};
          # Without npm it is half as large.
          node = packages.nodejs-slim or packages.nodejs;
        in
        {
          default =
            derivation {
              inherit system;
              name = "nix-cache-preflight-${version}";
              builder = "${node}/bin/node";
              args = [ ./scripts/nix-package.mjs ];
              dist = ./dist;
              manPage = ./docs/nix-cache-preflight.1;
              # It costs less to make than to ask a binary cache for.
              preferLocalBuild = true;
            }
            // {
              meta = {
                mainProgram = "nix-cache-preflight";
                description = "What is in a binary cache, and what would be built from source";
                homepage = "https://github.com/nix-cache-preflight/nix-cache-preflight";
              };
            };
        }
      );

      apps = perSystem (system: {
        default = {
          type = "app";
          program = "${self.packages.${system}.default}/bin/nix-cache-preflight";
          meta.description = "What is in a binary cache, and what would be built from source";
        };
      });
    };
}
