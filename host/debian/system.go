package debian

// What an installation would have made beside the packages' files: users,
// groups, directories, links, and who owns them. It is read from the packages'
// scripts (script.go), from sysusers.d, tmpfiles.d and service units of systemd,
// the first that speaks of something wins.
//
// A user may not be able to give files away. So owners are written down beside
// the tree (HASH.owners, lines "UID GID PATH") and take effect in the guest.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Owner is whom a file belongs to.
type Owner struct{ UID, GID uint32 }

// system is the state of a tree's installation.
type system struct {
	root   *os.Root
	users  []account
	groups []account
	owners map[string]Owner // by path, without the first slash

	alternatives []alternative
	phpModules   []phpModule
	commands     map[string]func(args []string) // by name
}

type account struct {
	name      string
	id, group int
	text      string // what /etc/passwd and /etc/group have after the ids
}

// alternative is one of the files that a link may lead to.
type alternative struct {
	link, name, file string
	priority         int
}

const firstSystemID, nobodyID = 100, 65534

func newSystem(root *os.Root) *system {
	s := &system{root: root, owners: map[string]Owner{}}
	for line := range strings.Lines(users) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 5)
		uid, _ := strconv.Atoi(f[2])
		gid, _ := strconv.Atoi(f[3])
		s.users = append(s.users, account{f[0], uid, gid, f[4]})
	}
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 4)
		gid, _ := strconv.Atoi(f[2])
		s.groups = append(s.groups, account{f[0], gid, gid, f[3]})
	}
	s.commands = map[string]func([]string){
		"adduser": s.adduser, "useradd": s.adduser, "addgroup": s.addgroup, "groupadd": s.addgroup,
		"mkdir": s.mkdir, "install": s.install, "chown": s.chown, "ln": s.ln, "cp": s.cp, "ucf": s.cp, "touch": s.touch,
		"dpkg-statoverride": s.override, "update-alternatives": s.alternative,
		"a2enmod": s.apacheModules, "a2ensite": s.apacheSites, "a2enconf": s.apacheConfs,
		"php_invoke": s.phpModule,
	}
	return s
}

// obey does what the commands of a script say.
func (s *system) obey(script string) {
	for _, words := range commands(script) {
		if do := s.commands[path.Base(words[0])]; do != nil {
			do(words[1:])
		}
	}
}

// inTree is the path in the tree of a path that a script names; ok false: it is
// not one.
func inTree(name string) (string, bool) {
	if !path.IsAbs(name) || strings.ContainsAny(name, "%\x00") {
		return "", false
	}
	name = path.Clean(name)[1:]
	return name, name != ""
}

// arguments parses a command's arguments: those of the options that are named
// in valued, without dashes, and the rest. Other options are switches, with "".
func arguments(args []string, valued ...string) (options map[string]string, rest []string) {
	options = map[string]string{}
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		if a == "--" {
			return options, append(rest, args...)
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		name, value, given := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case given:
		case slices.Contains(valued, name) && len(args) > 0:
			value, args = args[0], args[1:]
		case a[1] != '-' && len(name) > 1:
			for i := range name { // as in -sf
				options[name[i:i+1]] = ""
			}
			continue
		}
		options[name] = value
	}
	return options, rest
}

func first(options map[string]string, names ...string) string {
	for _, n := range names {
		if v := options[n]; v != "" {
			return v
		}
	}
	return ""
}

func find(list []account, name string) (account, bool) {
	for _, a := range list {
		if a.name == name || strconv.Itoa(a.id) == name {
			return a, true
		}
	}
	return account{}, false
}

// freeID is a number from Debian's range for the system's users and groups.
func (s *system) freeID(want string, list []account) int {
	used := func(id int) bool {
		return slices.ContainsFunc(list, func(a account) bool { return a.id == id })
	}
	if id, err := strconv.Atoi(want); err == nil && id > 0 && id < nobodyID && !used(id) {
		return id
	}
	id := firstSystemID
	for used(id) {
		id++
	}
	return id
}

// isAccount tells names that a line of /etc/passwd can have.
func isAccount(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

func (s *system) group(name, gid string) account {
	if g, ok := find(s.groups, name); ok || !isAccount(name) {
		return g
	}
	id := s.freeID(gid, s.groups)
	g := account{name: name, id: id, group: id}
	s.groups = append(s.groups, g)
	return g
}

func (s *system) user(name, uid string, group account, gecos, home, shell string) {
	if _, ok := find(s.users, name); ok || !isAccount(name) {
		return
	}
	text := strings.Join([]string{gecos, cmp.Or(home, "/nonexistent"), cmp.Or(shell, "/usr/sbin/nologin")}, ":")
	if strings.Count(text, ":") != 2 || strings.Contains(text, "\n") {
		text = ":/nonexistent:/usr/sbin/nologin"
	}
	s.users = append(s.users, account{name, s.freeID(uid, s.users), group.id, text})
}

// adduser is also useradd, whose options have other names.
func (s *system) adduser(args []string) {
	o, rest := arguments(args, "home", "uid", "gid", "ingroup", "gecos", "shell", "comment", "home-dir", "firstuid", "lastuid", "conf", "groups",
		"d", "u", "g", "s", "c", "G", "b", "k", "K")
	if len(rest) != 1 {
		return // a user becomes a member of a group
	}
	name := rest[0]
	if _, ok := o["group"]; ok && !has(o, "system") {
		s.addgroup(args)
		return
	}
	groupName := first(o, "ingroup", "gid", "g")
	if groupName == "" {
		groupName = name
		if has(o, "system") && !has(o, "group") {
			groupName = "nogroup"
		}
	}
	home := first(o, "home", "home-dir", "d")
	s.user(name, first(o, "uid", "u"), s.group(groupName, first(o, "gid", "g", "uid")), first(o, "gecos", "comment", "c"), home, first(o, "shell", "s"))
	if has(o, "no-create-home") || has(o, "M") || home == "" || home == "/nonexistent" {
		return
	}
	s.dir(home, name, groupName)
}

func has(options map[string]string, name string) bool { _, ok := options[name]; return ok }

func (s *system) addgroup(args []string) {
	o, rest := arguments(args, "gid", "firstgid", "lastgid", "g", "K")
	if len(rest) == 1 {
		s.group(rest[0], first(o, "gid", "g"))
	}
}

// dir makes a directory, if it is not there, and gives it away.
func (s *system) dir(name, user, group string) {
	p, ok := inTree(name)
	if !ok || s.root.MkdirAll(p, 0o755) != nil {
		return
	}
	s.give(p, user, group)
}

// give notes an owner, unless there is one.
func (s *system) give(p, user, group string) {
	if _, ok := s.owners[p]; ok || user == "" && group == "" {
		return
	}
	u, ok1 := find(s.users, cmp.Or(user, "root"))
	g, ok2 := find(s.groups, cmp.Or(group, "root"))
	if ok1 && ok2 {
		s.owners[p] = Owner{uint32(u.id), uint32(g.id)}
	}
}

func (s *system) mkdir(args []string) {
	_, dirs := arguments(args, "m", "mode")
	for _, d := range dirs {
		s.dir(d, "", "")
	}
}

func (s *system) install(args []string) {
	o, rest := arguments(args, "m", "mode", "o", "owner", "g", "group", "S", "t")
	user, group := first(o, "o", "owner"), first(o, "g", "group")
	if has(o, "d") || has(o, "directory") {
		for _, d := range rest {
			s.dir(d, user, group)
		}
		return
	}
	if len(rest) == 2 {
		s.copy(rest[0], rest[1])
		if p, ok := inTree(rest[1]); ok {
			s.give(p, user, group)
		}
	}
}

func (s *system) chown(args []string) {
	o, rest := arguments(args, "from")
	if len(rest) < 2 {
		return
	}
	user, group, both := strings.Cut(strings.Replace(rest[0], ".", ":", 1), ":")
	if both && group == "" {
		if u, ok := find(s.users, user); ok {
			group = strconv.Itoa(u.group)
		}
	}
	for _, name := range rest[1:] {
		p, ok := inTree(name)
		if _, err := s.root.Lstat(p); !ok || err != nil {
			continue
		}
		if has(o, "R") || has(o, "recursive") {
			fs.WalkDir(s.root.FS(), p, func(p string, _ fs.DirEntry, err error) error {
				s.give(p, user, group)
				return err
			})
		}
		s.give(p, user, group)
	}
}

// override obeys "dpkg-statoverride --add USER GROUP MODE PATH".
func (s *system) override(args []string) {
	o, rest := arguments(args)
	if has(o, "add") && len(rest) == 4 {
		if p, ok := inTree(rest[3]); ok {
			s.give(p, rest[0], rest[1])
		}
	}
}

func (s *system) ln(args []string) {
	o, rest := arguments(args)
	if has(o, "s") || has(o, "symbolic") {
		if len(rest) == 2 {
			s.link(rest[0], rest[1])
		}
	}
}

// link makes a link, if its name is free.
func (s *system) link(target, name string) {
	p, ok := inTree(name)
	if !ok {
		return
	}
	if info, err := s.root.Stat(p); err == nil && info.IsDir() {
		p = path.Join(p, path.Base(target))
	}
	if s.root.MkdirAll(path.Dir(p), 0o755) == nil {
		s.root.Symlink(target, p)
	}
}

func (s *system) cp(args []string) {
	_, rest := arguments(args, "src-dir", "sum-file", "conf-file")
	if len(rest) == 2 {
		s.copy(rest[0], rest[1])
	}
}

// copy copies a regular file, if there is none of the new name.
func (s *system) copy(from, to string) {
	src, ok1 := inTree(from)
	dst, ok2 := inTree(to)
	if !ok1 || !ok2 {
		return
	}
	if info, err := s.root.Stat(dst); err == nil && info.IsDir() {
		dst = path.Join(dst, path.Base(src))
	}
	info, err := s.root.Stat(src)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	data, err := s.root.ReadFile(src)
	if err == nil {
		s.file(dst, data, info.Mode().Perm())
	}
}

// file makes a file, if its name is free.
func (s *system) file(p string, data []byte, mode fs.FileMode) error {
	if _, err := s.root.Lstat(p); err == nil {
		return nil
	}
	return errors.Join(s.root.MkdirAll(path.Dir(p), 0o755), s.root.WriteFile(p, data, mode))
}

func (s *system) touch(args []string) {
	_, rest := arguments(args, "d", "r", "t")
	for _, name := range rest {
		if p, ok := inTree(name); ok {
			s.file(p, nil, 0o644)
		}
	}
}

// alternative obeys "update-alternatives --install LINK NAME FILE PRIORITY", and
// the slaves that may follow.
func (s *system) alternative(args []string) {
	priority, master := 0, false
	for len(args) > 0 {
		switch {
		case args[0] == "--install" && len(args) > 4:
			priority, _ = strconv.Atoi(args[4])
			s.alternatives = append(s.alternatives, alternative{args[1], args[2], args[3], priority})
			args, master = args[5:], true
		case args[0] == "--slave" && len(args) > 3 && master:
			s.alternatives = append(s.alternatives, alternative{args[1], args[2], args[3], priority})
			args = args[4:]
		default:
			args = args[1:]
		}
	}
}

// choose makes the links to the best alternatives that are there.
func (s *system) choose() {
	slices.SortStableFunc(s.alternatives, func(a, b alternative) int { return cmp.Compare(b.priority, a.priority) })
	for _, a := range s.alternatives {
		file, ok := inTree(a.file)
		if _, err := s.root.Stat(file); ok && err == nil && path.Base(a.name) == a.name {
			s.link(a.file, "/etc/alternatives/"+a.name)
			s.link("/etc/alternatives/"+a.name, a.link)
		}
	}
}

// apacheModules obeys a2enmod: modules, and those that they name in a comment,
// are enabled by links.
func (s *system) apacheModules(args []string) {
	_, names := arguments(args)
	for _, n := range names {
		load := n + ".load"
		if _, err := s.root.Lstat("etc/apache2/mods-enabled/" + load); err == nil || !s.enable("etc/apache2/mods-", load) {
			continue
		}
		s.enable("etc/apache2/mods-", n+".conf")
		text, _ := s.root.ReadFile("etc/apache2/mods-available/" + load)
		for line := range strings.Lines(string(text)) {
			if needs, ok := strings.CutPrefix(line, "# Depends:"); ok {
				s.apacheModules(strings.Fields(needs))
			}
		}
	}
}

func (s *system) apacheSites(args []string) { s.apacheConf("etc/apache2/sites-", args) }
func (s *system) apacheConfs(args []string) { s.apacheConf("etc/apache2/conf-", args) }

func (s *system) apacheConf(dir string, args []string) {
	_, names := arguments(args)
	for _, n := range names {
		s.enable(dir, n+".conf")
	}
}

// enable links DIRenabled/NAME to DIRavailable/NAME.
func (s *system) enable(dir, name string) bool {
	if _, err := s.root.Stat(dir + "available/" + name); err != nil || path.Base(name) != name {
		return false
	}
	s.link("../"+path.Base(dir)+"available/"+name, "/"+dir+"enabled/"+name)
	return true
}

// phpModule is a module that PHP is to load.
type phpModule struct{ version, sapi, name string }

// phpModule obeys "php_invoke enmod VERSION SAPI MODULE".
func (s *system) phpModule(args []string) {
	if len(args) == 4 && args[0] == "enmod" {
		s.phpModules = append(s.phpModules, phpModule{args[1], args[2], args[3]})
	}
}

// loadPHP makes the links by which PHP loads its modules. Their names begin with
// the priority that a comment in a module's settings tells.
func (s *system) loadPHP() {
	for _, m := range s.phpModules {
		etc := path.Join("etc/php", m.version)
		ini := path.Join(etc, "mods-available", m.name+".ini")
		text, err := s.root.ReadFile(ini)
		if err != nil {
			continue
		}
		priority := "20"
		for line := range strings.Lines(string(text)) {
			if p, ok := strings.CutPrefix(strings.TrimSpace(line), "; priority="); ok {
				priority = p
			}
		}
		sapis, _ := fs.ReadDir(s.root.FS(), path.Join("usr/lib/php", m.version, "sapi"))
		for _, d := range sapis {
			if m.sapi == "ALL" || m.sapi == d.Name() {
				s.link("/"+ini, path.Join("/", etc, d.Name(), "conf.d", priority+"-"+m.name+".ini"))
			}
		}
	}
}

// sysusers obeys sysusers.d.
func (s *system) sysusers() {
	s.each("usr/lib/sysusers.d", ".conf", func(text string) {
		for _, f := range table(text) {
			s.sysuser(f)
		}
	})
}

// units obeys tmpfiles.d and the service units.
func (s *system) units() {
	s.each("usr/lib/tmpfiles.d", ".conf", func(text string) {
		for _, f := range table(text) {
			s.tmpfile(f)
		}
	})
	s.each("usr/lib/systemd/system", ".service", s.unit)
}

// each calls do with the texts of a directory's files.
func (s *system) each(dir, suffix string, do func(text string)) {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
			if data, err := s.root.ReadFile(path.Join(dir, e.Name())); err == nil {
				do(string(data))
			}
		}
	}
}

// table splits lines into fields, of which some are quoted.
func table(text string) (lines [][]string) {
	for _, words := range split(strings.NewReplacer("$", `\$`, "`", "\\`", ";", `\;`, "&", `\&`).Replace(text)) {
		var fields []string
		for _, w := range words {
			f, _ := (&reader{}).expand(w)
			fields = append(fields, strings.Join(f, " "))
		}
		lines = append(lines, fields)
	}
	return lines
}

func field(f []string, i int) string {
	if i >= len(f) || f[i] == "-" {
		return ""
	}
	return f[i]
}

// sysuser is a line of sysusers.d: TYPE NAME ID GECOS HOME SHELL.
func (s *system) sysuser(f []string) {
	name := field(f, 1)
	switch strings.TrimRight(field(f, 0), "!") {
	case "u":
		uid, group, both := strings.Cut(field(f, 2), ":")
		if !both {
			group = name
		}
		s.user(name, uid, s.group(group, uid), field(f, 3), field(f, 4), field(f, 5))
	case "g":
		s.group(name, field(f, 2))
	}
}

// tmpfile is a line of tmpfiles.d: TYPE PATH MODE USER GROUP AGE ARGUMENT.
func (s *system) tmpfile(f []string) {
	name := field(f, 1)
	switch strings.TrimRight(field(f, 0), "!+-=~^$") {
	case "d", "D", "v", "q", "Q":
		s.dir(name, field(f, 3), field(f, 4))
	case "L":
		s.link(field(f, 6), name)
	case "f", "F":
		if p, ok := inTree(name); ok {
			s.file(p, []byte(field(f, 6)), 0o644)
			s.give(p, field(f, 3), field(f, 4))
		}
	case "C":
		s.copy(field(f, 6), name)
	}
}

// unitDirs are the settings that make a service's directories.
var unitDirs = map[string]string{
	"RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache", "LogsDirectory": "/var/log",
}

func (s *system) unit(text string) {
	settings := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		settings[key] = value
		if key == "ExecStartPre" {
			s.obey(strings.TrimLeft(value, "-+!@"))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(unitDirs)) {
		for _, d := range strings.Fields(settings[key]) {
			s.dir(path.Join(unitDirs[key], d), settings["User"], settings["Group"])
		}
	}
}

// ownDirs gives the users that packages have made the directories of their name,
// if nobody has said whose they are: commands that search for files cannot be
// read.
func (s *system) ownDirs() {
	for _, u := range s.users {
		if u.id < firstSystemID || u.id == nobodyID {
			continue
		}
		for _, dir := range []string{"run", "var/lib", "var/log", "var/cache", "var/spool"} {
			p := path.Join(dir, u.name)
			if info, err := s.root.Lstat(p); err == nil && info.IsDir() {
				s.give(p, u.name, strconv.Itoa(u.group))
			}
		}
	}
}

// write writes /etc/passwd, /etc/group and, beside the tree, the owners.
func (s *system) write(owners string) error {
	var passwd, group, list strings.Builder
	for _, u := range s.users {
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s\n", u.name, u.id, u.group, u.text)
	}
	for _, g := range s.groups {
		fmt.Fprintf(&group, "%s:x:%d:%s\n", g.name, g.id, g.text)
	}
	for _, p := range slices.Sorted(maps.Keys(s.owners)) {
		if o := s.owners[p]; o != (Owner{}) && !strings.Contains(p, "\n") {
			fmt.Fprintf(&list, "%d %d /%s\n", o.UID, o.GID, p)
		}
	}
	return errors.Join(s.file("etc/passwd", []byte(passwd.String()), 0o644), s.file("etc/group", []byte(group.String()), 0o644),
		os.WriteFile(owners, []byte(list.String()), 0o666))
}
