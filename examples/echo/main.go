// Echo reads standard input and writes each line back with its number, until
// the input ends. Its arguments, if there are any, go before each line.
//
//	printf 'one\ntwo\n' | kiln run ./examples/echo
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := echo(os.Stdout, os.Stdin, strings.Join(os.Args[1:], " ")); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func echo(out io.Writer, in io.Reader, prefix string) error {
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		if _, err := fmt.Fprintf(out, "%s%d: %s\n", prefix, n, lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}
