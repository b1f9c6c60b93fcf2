#!/bin/sh
# One server of a farm on this node, beside the cluster: nginx on port 8080 in koboshi's care alone, with the two doors
# that a load balancer asks at: the agent check on 9100, readiness over HTTP on 9101. The client balances over all of
# them.
set -eu
root=/srv/farm
name=$(hostname)
address=$(getent hosts "$name" | cut -d' ' -f1)
mkdir -p $root/htdocs $root/tmp /etc/koboshi
echo "<html>farm on $name</html>" >$root/htdocs/index.html
chmod -R a+rX $root
cat >$root/nginx.conf <<EOF
user www-data;
worker_processes 1;
pid $root/nginx.pid;
error_log $root/error.log;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $root/tmp/b;
    proxy_temp_path $root/tmp/p;
    fastcgi_temp_path $root/tmp/f;
    uwsgi_temp_path $root/tmp/u;
    scgi_temp_path $root/tmp/s;
    server {
        listen $address:8080;
        root $root/htdocs;
        add_header X-Node "$name" always;
    }
}
EOF
cat >/etc/koboshi/koboshi.toml <<EOF
[resource.farm]
agent = "nginx"
configfile = "$root/nginx.conf"
agent_check = "$address:9100"
readiness = "$address:9101"
drain_wait = "1s"
EOF
