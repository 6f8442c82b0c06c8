#!/bin/sh
# Makes what docker-compose.yml needs beside the project: keys, tokens, a password, and whose they are. What is there
# stays as it is, so it can be said again.
#
#   sh deploy/compose/prepare.sh && docker compose up --detach --build
#
# The folder of the secrets is its owner's alone. What jakwatch reads in it is too; what Prometheus and Grafana read, as
# the users of their images, has to be open to them once it is mounted.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 700 secrets

random() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
secret() { # NAME TEXT
  if [ -e "secrets/$1" ]; then echo "kept: secrets/$1"; return; fi
  printf '%s\n' "$2" >"secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
  echo "made: secrets/$1"
}

secret pseudonym.key "$(random 32)"
secret write.token "$(random 24)"
secret read.token "$(random 24)"
secret prometheus.token "$(cat secrets/read.token)"
secret grafana.password "$(random 12)"
chmod 600 secrets/pseudonym.key secrets/write.token secrets/read.token
chmod 644 secrets/prometheus.token secrets/grafana.password

user=$(id -u)
if [ "$user" = 0 ]; then # no container runs as root
  user=1000
  chown -R "$user" secrets
fi
if [ ! -e ../../.env ]; then
  printf 'JAKWATCH_UID=%s\n' "$user" >../../.env
  echo "made: .env"
fi
echo "Back up secrets/pseudonym.key, apart from the data: without it no patient is recognised again."
