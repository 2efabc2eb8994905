;; Says the value of its setting "greeting", or "none".
(module
  (import "wasi:config/store@0.2.0-rc.1" "get" (func $get (param i32 i32 i32)))
  ;; prelude
  (data (i32.const 512) "greeting")
  (data (i32.const 528) "none")
  (func $answer (param $list i32) (param $count i32) (result i32)
    ;; A result, at 4 an option, at 8 and 12 its text.
    (call $get (i32.const 512) (i32.const 8) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then unreachable))
    (if (result i32) (i32.load8_u (i32.const 2052))
      (then (call $say (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))
      (else (call $say (i32.const 528) (i32.const 4))))))
