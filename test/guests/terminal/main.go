// Terminal looks at its standard streams as ttyname(3) does, and reads a line.
package main

import (
	"bufio"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	for fd := range 3 {
		name, err := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
		var by, at unix.Stat_t
		unix.Fstat(fd, &by)
		unix.Stat(name, &at)
		w, _ := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		fmt.Println(fd, name, err, by.Dev == at.Dev && by.Ino == at.Ino && by.Rdev == at.Rdev, w.Col, w.Row)
	}
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	fmt.Fprint(f, "name? ")
	line, _ := bufio.NewReader(f).ReadString('\n')
	fmt.Printf("got %q\n", line)
}
