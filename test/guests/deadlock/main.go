// Deadlock waits for itself; the runtime has to notice.
package main

func main() { <-make(chan int) }
