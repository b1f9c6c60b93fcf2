#!/bin/sh
# Makes this machine (virtual machine, container or set of namespaces) a node of the lab.
# usage: LAB_NODES="node1 node2" node.sh KOBOSHI   (the command koboshi; its checkout must be visible here)
set -eu
koboshi=$1
here=$(cd -- "$(dirname -- "$0")" && pwd -P)

{
    echo "127.0.0.1 localhost"
    number=0
    for name in $LAB_NODES; do
        number=$((number + 1))
        echo "10.77.0.$((10 + number)) $name"
    done
    echo "10.77.0.100 vip"
} >/etc/hosts

mkdir -p /etc/corosync /var/log/corosync /var/log/cluster
sh "$here/corosync.sh" >/etc/corosync/corosync.conf

# A cluster that waits 20 s for other nodes at its first start is no pleasure: dc-deadtime has to be there before.
install -d -m 750 -o hacluster -g haclient /var/lib/pacemaker/cib
rm -f /var/lib/pacemaker/cib/* /var/lib/corosync/*
cat >/var/lib/pacemaker/cib/cib.xml <<'EOF'
<cib crm_feature_set="3.0.14" validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="cib-bootstrap-options-dc-deadtime" name="dc-deadtime" value="2s"/>
      </cluster_property_set>
    </crm_config>
    <nodes/>
    <resources/>
    <constraints/>
  </configuration>
  <status/>
</cib>
EOF
chown hacluster:haclient /var/lib/pacemaker/cib/cib.xml
chmod 600 /var/lib/pacemaker/cib/cib.xml

sh "$here/web.sh"
install -m 755 "$here/membership.sh" /usr/local/sbin/lab-membership
"$koboshi" install-agents >/dev/null
alert=$(mktemp -d)
"$koboshi" scaffold pacemaker --command "$koboshi" --output "$alert" >/dev/null
install -m 755 "$alert/koboshi-alert" /usr/local/bin/koboshi-alert
rm -rf "$alert"
