package program

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// User is an account of a file tree.
type User struct {
	UID, GID uint32
	Groups   []uint32 // further ones
	Home     string   // empty: unknown
}

// String is what abi.ParseUser reads.
func (u User) String() string {
	s := fmt.Sprintf("%d:%d", u.UID, u.GID)
	for _, g := range u.Groups {
		s += fmt.Sprintf(",%d", g)
	}
	return s
}

// FindUser finds USER[:GROUP] in the accounts of the file tree in dir. Each is a
// name, or a number that need not be known there.
func FindUser(dir, spec string) (User, error) {
	name, group, withGroup := strings.Cut(spec, ":")
	users, err := accounts(dir, "etc/passwd", 7)
	if err != nil {
		return User{}, err
	}
	groups, err := accounts(dir, "etc/group", 4)
	if err != nil {
		return User{}, err
	}
	var u User
	known := slices.IndexFunc(users, func(f []string) bool { return f[0] == name || f[2] == name })
	if known < 0 {
		if u.UID, err = id(name); err != nil {
			return User{}, fmt.Errorf("there is no user %q in /etc/passwd: give a name that is there, or a number", name)
		}
	} else {
		f := users[known]
		name, u.Home = f[0], f[5]
		uid, err := id(f[2])
		gid, err2 := id(f[3])
		if err := errors.Join(err, err2); err != nil {
			return User{}, fmt.Errorf("/etc/passwd: the line of %s: %w", name, err)
		}
		u.UID, u.GID = uid, gid
	}
	if withGroup {
		i := slices.IndexFunc(groups, func(f []string) bool { return f[0] == group })
		if i >= 0 {
			group = groups[i][2]
		}
		if u.GID, err = id(group); err != nil {
			return User{}, fmt.Errorf("there is no group %q in /etc/group: give a name that is there, or a number", group)
		}
		return u, nil
	}
	for _, f := range groups {
		if g, err := id(f[2]); known >= 0 && err == nil && g != u.GID && slices.Contains(strings.Split(f[3], ","), name) {
			u.Groups = append(u.Groups, g)
		}
	}
	return u, nil
}

func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

// accounts reads the lines of n fields of a file such as passwd(5). None is there
// if the file is not.
func accounts(dir, name string, n int) ([][]string, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	var list [][]string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if fields := strings.Split(s.Text(), ":"); len(fields) == n {
			list = append(list, fields)
		}
	}
	return list, s.Err()
}
