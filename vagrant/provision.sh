#!/bin/sh
# Make one of the testbed's machines what it is: run by Vagrant, as root; again by `vagrant provision`.
#
#   provision.sh client|gateway|server
set -eu
name=$1
source=/usr/src/gtunnel

# Addresses and routes, at each boot. Interfaces are known by the end of their hardware address.
case $name in
    client) interfaces='01:02,uplink,192.0.2.2/24,2001:db8:1::2/64' routes='192.0.2.1,2001:db8:1::1' ;;
    server) interfaces='02:02,uplink,198.51.100.2/24,2001:db8:2::2/64' routes='198.51.100.1,2001:db8:2::1' ;;
    gateway)
        interfaces='01:09,to-client,192.0.2.1/24,2001:db8:1::1/64 02:09,to-server,198.51.100.1/24,2001:db8:2::1/64'
        routes= ;;
    *) echo "usage: $0 client|gateway|server" >&2; exit 2 ;;
esac
cat >/usr/local/sbin/testbed-network <<END
#!/bin/sh
set -eu
for line in $interfaces; do
    IFS=, read -r mac link v4 v6 <<LINE
\$line
LINE
    for path in /sys/class/net/*; do
        case \$(cat "\$path/address") in *:00:\$mac) break ;; esac
    done
    now=\${path##*/}
    if [ "\$now" != "\$link" ]; then
        ip link set "\$now" down
        ip link set "\$now" name "\$link"
    fi
    # Nobody else has these addresses: they are good at once.
    sysctl -qw "net.ipv6.conf.\$link.accept_dad=0"
    ip link set "\$link" up
    ip addr replace "\$v4" dev "\$link"
    ip addr replace "\$v6" dev "\$link"
done
if [ $name = gateway ]; then
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
else
    # Between the testbed's networks only: the default route is Vagrant's.
    case $name in client) v4=198.51.100.0/24 v6=2001:db8:2::/64 ;; *) v4=192.0.2.0/24 v6=2001:db8:1::/64 ;; esac
    ip route replace "\$v4" via "${routes%,*}"
    ip -6 route replace "\$v6" via "${routes#*,}"
fi
END
chmod 755 /usr/local/sbin/testbed-network
cat >/etc/systemd/system/testbed-network.service <<END
[Unit]
Description=Addresses of the testbed
After=systemd-modules-load.service systemd-udev-settle.service
Before=network.target network-online.target
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/testbed-network

[Install]
WantedBy=multi-user.target
END

# On the server and on the gateway: TLS echo servers that say who came.
if [ $name != client ]; then
    if [ ! -e /etc/testbed.pem ]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=testbed \
            -keyout /etc/testbed.pem -out /etc/testbed.crt 2>/dev/null
        cat /etc/testbed.crt >>/etc/testbed.pem
    fi
    cat >/etc/systemd/system/testbed-echo.service <<END
[Unit]
Description=TLS echo servers of the testbed
After=testbed-network.service

[Service]
ExecStart=/usr/bin/python3 $source/vagrant/traffic.py serve /etc/testbed.pem
Restart=always

[Install]
WantedBy=multi-user.target
END
fi

if [ $name = gateway ]; then
    # The box may have the packages already, and no way to any other.
    python3 -c 'import gevent, OpenSSL, pyroute2, iptc' 2>/dev/null || (apt-get update -qq && "$source/tools/install-packages" debian)
    command -v nft >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -qq -y nftables >/dev/null
    "$source/tools/install" --debian
else
    command -v python3 >/dev/null || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3 >/dev/null)
fi

systemctl daemon-reload
systemctl --quiet enable --now testbed-network.service
if [ $name != client ]; then systemctl --quiet enable --now testbed-echo.service; fi
