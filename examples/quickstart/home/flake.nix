{
  description = "Three home configurations that want bws, which is in no package set of this flake";

  inputs.nixpkgs.url = "nixpkgs";

  outputs =
    { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      home = user: {
        activationPackage = derivation {
          name = "home-manager-generation";
          inherit system;
          builder = "/bin/sh";
          args = [
            "-c"
            "echo ${user} ${pkgs.bws} ${pkgs.hello} > $out"
          ];
          preferLocalBuild = true;
          allowSubstitutes = false;
        };
      };
    in
    {
      packages.${system} = {
        inherit (pkgs) hello;
      };
      homeConfigurations = {
        alice = home "alice";
        bob = home "bob";
        carol = home "carol";
      };
    };
}
