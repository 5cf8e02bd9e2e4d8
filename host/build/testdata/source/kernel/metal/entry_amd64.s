#include "textflag.h"

// entry32 does not boot a machine, but it leads the linker to the program.
TEXT ·entry32(SB), NOSPLIT|NOFRAME, $0
	JMP	_rt0_amd64_linux(SB)
