#!/bin/sh
# The web servers of the lab, the same on every node: Apache and nginx behind one service address each.
set -eu
root=/srv/lab
name=$(hostname)
for server in apache nginx; do
    mkdir -p $root/$server/htdocs $root/$server/logs $root/$server/tmp
    echo "<html>$server on $name</html>" >$root/$server/htdocs/index.html
done
chmod -R a+rX $root
modules=/usr/lib/apache2/modules
cat >$root/apache/httpd.conf <<EOF
ServerRoot $root/apache
ServerName vip
Listen 10.77.0.100:80
Listen 127.0.0.1:8081
PidFile $root/apache/httpd.pid
ErrorLog $root/apache/logs/error.log
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule authz_host_module $modules/mod_authz_host.so
LoadModule dir_module $modules/mod_dir.so
LoadModule status_module $modules/mod_status.so
LoadModule headers_module $modules/mod_headers.so
StartServers 2
MinSpareThreads 8
MaxSpareThreads 32
ThreadsPerChild 8
MaxRequestWorkers 64
DocumentRoot $root/apache/htdocs
User www-data
Group www-data
Header always set X-Node "$name"
<Location /server-status>
  SetHandler server-status
  Require local
</Location>
EOF
cat >$root/nginx/nginx.conf <<EOF
user www-data;
worker_processes 2;
pid $root/nginx/nginx.pid;
error_log $root/nginx/logs/error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $root/nginx/tmp/b;
    proxy_temp_path $root/nginx/tmp/p;
    fastcgi_temp_path $root/nginx/tmp/f;
    uwsgi_temp_path $root/nginx/tmp/u;
    scgi_temp_path $root/nginx/tmp/s;
    server {
        listen 10.77.0.101:80;
        listen 127.0.0.1:8082;
        root $root/nginx/htdocs;
        add_header X-Node "$name" always;
        location /nginx_status { stub_status; }
    }
}
EOF
