;; Never returns. The host must stop it at its deadline, and serve others meanwhile.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $for_ever (br $for_ever))
    (unreachable)))
