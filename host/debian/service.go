package debian

// How the servers of well-known packages are started as one process in the
// foreground, with what their packages configure.

import (
	"path"
	"regexp"
)

// Service is a server's command line.
type Service struct {
	Args []string
	Env  []string
	Dirs []string // directories that it needs and its package does not have
	Note string   // a sentence for who starts it so; empty: there is nothing to say

	// Cannot says, in a sentence, why it would not serve; empty: it can.
	Cannot string
}

const processPerClient = " has a process for each connection, and a machine has one process"

var services = []struct {
	program *regexp.Regexp
	service Service
}{
	{regexp.MustCompile(`^nginx$`), Service{Args: []string{"-g", "daemon off; master_process off;"}}},
	{regexp.MustCompile(`^(redis|valkey)-server$`), Service{Args: []string{"--protected-mode", "no", "--save", ""}}},
	{regexp.MustCompile(`^memcached$`), Service{Args: []string{"-u", "memcache"}}},
	{regexp.MustCompile(`^apache2$`), Service{Args: []string{"-X"}, Env: []string{
		"APACHE_RUN_USER=www-data", "APACHE_RUN_GROUP=www-data", "APACHE_PID_FILE=/run/apache2.pid",
		"APACHE_RUN_DIR=/run", "APACHE_LOCK_DIR=/run", "APACHE_LOG_DIR=/var/log/apache2"}}},
	{regexp.MustCompile(`^lighttpd$`), Service{Args: []string{"-D", "-f", "/etc/lighttpd/lighttpd.conf"},
		Note: "Debian's lighttpd.conf runs scripts, which a machine cannot: give one without include_shell, as in -v lighttpd.conf:/etc/lighttpd/lighttpd.conf"}},
	{regexp.MustCompile(`^haproxy$`), Service{Args: []string{"-db", "-f", "/etc/haproxy/haproxy.cfg"}}},
	{regexp.MustCompile(`^mosquitto$`), Service{Args: []string{"-c", "/etc/mosquitto/mosquitto.conf"},
		Note: "without a configuration that says listener and allow_anonymous, mosquitto answers only inside of the machine"}},
	{regexp.MustCompile(`^php[\d.]*$`), Service{Args: []string{"-S", "0.0.0.0:80", "-t", "/var/www/html"}, Dirs: []string{"/var/www/html"}}},
	{regexp.MustCompile(`^unbound$`), Service{Args: []string{"-d", "-d"},
		Note: "Debian's unbound.conf wants a root.key, and answers only inside of the machine: give another, as in -v unbound.conf:/etc/unbound/unbound.conf"}},
	{regexp.MustCompile(`^dnsmasq$`), Service{Args: []string{"--keep-in-foreground", "--log-facility=-"}}},
	{regexp.MustCompile(`^named$`), Service{Args: []string{"-g"}}},
	{regexp.MustCompile(`^caddy$`), Service{Args: []string{"run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"}}},
	{regexp.MustCompile(`^tinyproxy$`), Service{Args: []string{"-d"}}},
	{regexp.MustCompile(`^squid$`), Service{Args: []string{"-N"},
		Note: "squid's helpers are processes: give it a squid.conf with access_log none and pinger_enable off"}},
	{regexp.MustCompile(`^postgres$`), Service{Cannot: "PostgreSQL" + processPerClient}},
	{regexp.MustCompile(`^sshd$`), Service{Cannot: "sshd" + processPerClient}},
	{regexp.MustCompile(`^vsftpd$`), Service{Cannot: "vsftpd" + processPerClient}},
	{regexp.MustCompile(`^mariadbd$`), Service{Args: []string{"--user=root", "--bind-address=0.0.0.0"},
		Note: "MariaDB needs a data directory that mariadb-install-db has made, such as -v DIRECTORY:/var/lib/mysql"}},
	{regexp.MustCompile(`^php-fpm`), Service{Cannot: "php-fpm has worker processes, and a machine has one process: use the server of the package php-cli (php -S)"}},
	{regexp.MustCompile(`^(erl|beam.smp|rabbitmq-server|ejabberdctl)$`), Service{Cannot: "Erlang's machine starts a helper process, and a machine has one process"}},
	{regexp.MustCompile(`^varnishd$`), Service{Cannot: "varnishd works in a second process, and a machine has one"}},
}

// ServiceOf returns how a program is started as a service; ok false: as it is.
func ServiceOf(program string) (s Service, ok bool) {
	for _, k := range services {
		if k.program.MatchString(path.Base(program)) {
			return k.service, true
		}
	}
	return Service{}, false
}
