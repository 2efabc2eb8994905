;; Fills its memory again and again, which is one long instruction each time. The host must stop it.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (drop (memory.grow (i32.const 800)))
    (loop $more
      (memory.fill (i32.const 65536) (i32.const 1) (i32.const 50000000))
      (br $more))
    (unreachable)))
