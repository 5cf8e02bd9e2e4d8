module vc

go 1.25
