// Idle says that it is ready and then does nothing, and knows no signals.
package main

import (
	"fmt"
	"time"
)

func main() {
	fmt.Println("ready")
	time.Sleep(time.Hour)
}
