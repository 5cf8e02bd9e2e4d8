// Crash panics in a goroutine.
package main

func main() {
	go func() { panic("on purpose") }()
	select {}
}
