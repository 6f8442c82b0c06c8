#!/bin/sh
# A whole copy of the log of a running jakwatch, and of the older copies the newest KEEP. Run it as the service's user.
# sh backup.sh DATA BACKUPS KEEP
set -eu
data=$1 backups=$2 keep=$3
umask 077
copy=$backups/log-$(date -u +%Y-%m-%dT%H%M%SZ).sqlite
rm -f "$backups"/log-*.part  # of one that did not end
python3 -c '
import sqlite3, sys
log = sqlite3.connect(f"file:{sys.argv[1]}/log.sqlite?mode=rw", uri=True)  # rw: makes none where there is none
log.execute("VACUUM INTO ?", sys.argv[2:])
' "$data" "$copy.part"
sync "$copy.part"
mv "$copy.part" "$copy"
echo "$copy"
ls "$backups"/log-*.sqlite | sort | head -n "-$keep" | xargs -r rm --
