#!/bin/sh
# After the stack is created, and after an update that replaces its listener or its health monitor:
# what Octavia can do and Heat's properties cannot say. Safe to run again.
set -eu
stack=${1:-photo-api}

output() {
  openstack stack output show "$stack" "$1" -f value -c output_value
}

listener=$(output listener)
openstack loadbalancer listener set --wait \
  --timeout-client-data 60000 \
  --timeout-member-connect 3000 \
  --timeout-member-data 30000 \
  --insert-headers X-Forwarded-For=true,X-Forwarded-Proto=true \
  "$listener"

healthmonitor=$(output health_monitor)
openstack loadbalancer healthmonitor set --wait \
  --max-retries-down 3 \
  "$healthmonitor"

# The size is the alarms' from now on: an update that says one would kill what is beyond it.
openstack stack update --existing --clear-parameter initial_size --wait "$stack" >/dev/null
