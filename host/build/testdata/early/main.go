// The program opens a file while its packages are initialised.
package main

import (
	"fmt"

	"example.com/early/aaa"
)

func main() { fmt.Println(aaa.Err) }
