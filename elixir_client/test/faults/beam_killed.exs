# A BEAM that brings an engine into a state, says so, and waits to be killed: at the latest, it ends with its standard
# input. Run by `beam_killed_test.exs`:
#
#     elixir -pa EBIN beam_killed.exs STATE FOLDER PYTHON PYTHON_PATH…
[state, folder, python | paths] = System.argv()
Logger.configure(level: :none)
name = Graphport.Killed

{:ok, _instance} =
  Graphport.start_link(
    name: name,
    python: python,
    python_path: [folder | paths],
    nodes: Graphport.FaultStates.modules(),
    hang_timeout: 600_000
  )

session = Graphport.open!(name, Graphport.FaultStates.graph(folder))
entered = Graphport.FaultStates.enter(String.to_existing_atom(state), name, session, folder)
IO.puts("there " <> Enum.join([System.pid() | entered.programs], " "))
IO.read(:line)
