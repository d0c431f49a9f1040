{
  description = "A nixpkgs small enough to build anywhere: every builder is /bin/sh";

  outputs =
    { self }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      packagesFor =
        system:
        let
          build =
            attributes:
            derivation (
              {
                inherit system;
                builder = "/bin/sh";
              }
              // attributes
            );
          # A megabyte of text, the same on every machine.
          megabyte = "s=0123456789abcdef; i=0; while [ $i -lt 16 ]; do s=$s$s; i=$((i+1)); done";
        in
        rec {
          # Fixed-output: fetched from its origin in real life.
          bws-vendor = build {
            name = "bws-1.0.0-vendor";
            args = [
              "-c"
              "echo crates > $out"
            ];
            outputHashMode = "flat";
            outputHashAlgo = "sha256";
            outputHash = builtins.hashString "sha256" "crates\n";
          };
          # The dependency layer: in nobody's runtime closure, and most of the work.
          bws-deps = build {
            name = "bws-deps-1.0.0";
            vendor = bws-vendor;
            args = [
              "-c"
              "${megabyte}; echo \"deps from $vendor $s\" > $out"
            ];
          };
          bws = build {
            name = "bws-1.0.0";
            deps = bws-deps;
            args = [
              "-c"
              "read line < $deps; ${megabyte}; echo \"bws $s$s$s$s\" > $out"
            ];
          };
          # Similar by name, and another program: what the repair of the incident pushed instead.
          bitwarden-cli = build {
            name = "bitwarden-cli-2025.9.0";
            args = [
              "-c"
              "echo bw > $out"
            ];
          };
          hello = build {
            name = "hello-2.12";
            args = [
              "-c"
              "echo hello > $out"
            ];
          };
        };
    in
    {
      legacyPackages = builtins.listToAttrs (
        map (system: {
          name = system;
          value = packagesFor system;
        }) systems
      );
    };
}
