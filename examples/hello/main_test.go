package main

func Example() {
	main()
	// Output: Hello from a Go program
}
